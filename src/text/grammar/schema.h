// The compiler behind json_schema.h.
//
// A value may have to satisfy several schemas at once (allOf, $ref beside other keywords, several
// patternProperties), so everything works on sets of schemas. `expand` resolves the keywords that
// combine schemas ($ref, allOf, anyOf, oneOf, not) into alternatives, each a Flat: the schemas whose
// remaining keywords all hold. One rule is made for each Flat, so recursion ends.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/grammar/char_dfa.h"
#include "text/grammar/json_schema.h"

namespace mica::grammar {

using Schemas = std::vector<const Json*>;  // all hold

// Bits of JSON's types; integers are numbers without a fraction.
enum TypeBits : uint8_t {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kFraction = 8,
  kString = 16,
  kArray = 32,
  kObject = 64,
  kNumber = kInteger | kFraction,
  kAnyType = 127
};

struct Flat {
  Schemas schemas;         // objects with keywords of their own
  uint8_t types = kAnyType;
  bool operator<(const Flat& o) const {
    return std::tie(types, schemas) < std::tie(o.types, o.schemas);
  }
};

// A decimal number, exact: digits * 10^-places.
struct Decimal {
  bool negative = false;
  std::string whole;     // without leading zeros, "0" if none
  std::string fraction;  // without trailing zeros
};

struct NumberRange {
  struct Bound {
    Decimal value;
    bool exclusive = false;
  };
  std::vector<Bound> lowest, highest;  // all hold
  std::vector<Decimal> multiples;
  bool empty() const { return lowest.empty() && highest.empty() && multiples.empty(); }
};

struct ArrayShape {
  size_t prefix = 0;  // the first positions with schemas of their own
  int64_t min = 0, max = kNoMaximum;
};

// What may stand in an object beside the properties with names.
struct ObjectShape {
  std::vector<std::string> names;  // in the order in which they are written
  std::set<std::string> required;
  bool closed = false;             // nothing else
  int64_t min = 0, max = kNoMaximum;
};

class SchemaCompiler {
 public:
  SchemaCompiler(Grammar& grammar, JsonText& json, std::string_view text,
                 const SchemaOptions& options);
  ExprId run();

 private:
  // schema_expand.cpp
  [[noreturn]] void fail(const Json& schema, const std::string& keyword,
                         const std::string& message) const;
  void index(const Json& value, const std::string& pointer, int depth);
  void check_keywords(const Json& schema);
  const Json& resolve(const Json& schema, const std::string& ref);
  uint8_t types_of(const Json& schema) const;
  uint8_t not_types(const Json& schema) const;
  static bool is_plain(const Json& schema);  // has no keyword of its own that asserts
  struct Open;
  void expand_into(Open open, std::vector<Flat>& out);
  std::vector<Flat> expand(const Schemas& schemas);
  void check_one_of(const Json& schema, const Schemas& context);
  int64_t count(const Json& schema, const char* keyword) const;

  // schema_value.cpp
  ExprId value(const Schemas& schemas);
  ExprId flat_value(const Flat& flat);
  ExprId flat_body(const Flat& flat);
  static bool has_values(const Flat& flat);
  std::vector<Json> values(const Flat& flat);
  ArrayShape array_shape(const Flat& flat) const;
  Schemas item(const Flat& flat, size_t position) const;
  ExprId array(const Flat& flat);
  const Json* keyword(const Json& schema, const char* name) const;

  // schema_object.cpp
  ExprId object(const Flat& flat);
  ObjectShape object_shape(const Flat& flat);
  Schemas property(const Flat& flat, const std::string& name);
  std::vector<ExprId> other_members(const Flat& flat, const ObjectShape& shape);
  ExprId other_key(const Flat& flat, const ObjectShape& shape,
                   const std::vector<std::pair<const Json*, std::string>>& patterns, uint32_t match);
  ExprId member(ExprId key, ExprId value);
  ExprId object_machine(const ObjectShape& shape, const std::vector<ExprId>& members,
                        const std::vector<ExprId>& others);

  // schema_string.cpp
  ExprId string(const Flat& flat);
  struct StringParts;
  StringParts string_parts(const Flat& flat, Grammar& characters);
  std::vector<CharTerm> string_terms(const Flat& flat, Grammar& characters);
  ExprId pattern(Grammar& characters, const Json& schema, const std::string& pattern);
  const CharDfa& pattern_dfa(const Json& schema, const std::string& pattern, bool search);

  // schema_number.cpp
  ExprId number(const Flat& flat);
  NumberRange number_range(const Flat& flat) const;
  static int compare(const Decimal& a, const Decimal& b);
  Decimal decimal(const Json& schema, const char* keyword, const Json& value) const;
  bool is_multiple(const Decimal& value, const Decimal& of) const;

  // schema_check.cpp
  bool satisfies(const Json& value, const Json& schema, int depth = 0);
  bool satisfies_all(const Json& value, const Flat& flat);
  bool satisfies_keywords(const Json& value, const Json& schema, int depth);
  bool number_satisfies(const Json& value, const Json& schema);
  bool array_satisfies(const Json& value, const Json& schema, int depth);
  bool object_satisfies(const Json& value, const Json& schema, int depth);
  bool disjoint(const Flat& a, const Flat& b, int depth);
  bool disjoint(const Schemas& a, const Schemas& b, int depth);
  bool values_miss(const Flat& a, const Flat& b);
  bool numbers_disjoint(const Flat& a, const Flat& b);
  bool strings_disjoint(const Flat& a, const Flat& b);
  bool objects_disjoint(const Flat& a, const Flat& b, int depth);

  Grammar& grammar_;
  JsonText& json_;
  const SchemaOptions options_;
  Json document_;
  std::unordered_map<const Json*, std::string> pointers_;  // of every object
  std::unordered_map<std::string, const Json*> anchors_;
  std::set<const Json*> checked_;
  std::map<Flat, int32_t> rules_;
  std::vector<std::map<Flat, int32_t>::const_iterator> bodies_;  // of rules still to be made
  std::set<std::pair<const Json*, Schemas>> one_of_checked_;
  std::map<std::string, CharDfa> dfas_;
  int disjoint_work_ = 0, one_of_depth_ = 0;
  const Json true_ = true;
};

// The format as a regular expression of whole texts; nullptr when it is not known.
const char* format_pattern(const std::string& format);

constexpr int64_t kMaxCount = 20'000;  // of maxItems and maxLength; larger ones mean this

}  // namespace mica::grammar

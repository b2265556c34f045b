// Values that a schema itself contains (enum, const, names) against the other keywords, and whether
// two schemas can have a value in common (oneOf).
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "text/grammar/schema.h"

namespace mica::grammar {
namespace {

constexpr int kMaxDepth = 200;
constexpr int kDisjointDepth = 6;       // of properties of properties
constexpr int kDisjointWork = 200'000;  // pairs of schemas in all

uint8_t type_of(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null: return kNull;
    case Json::value_t::boolean: return kBoolean;
    case Json::value_t::string: return kString;
    case Json::value_t::array: return kArray;
    case Json::value_t::object: return kObject;
    case Json::value_t::number_float: {
      const double number = value.get<double>();
      return std::floor(number) == number ? kInteger : kFraction;
    }
    default: return kInteger;
  }
}

// Equality of values: 1 is 1.0, and the order of members says nothing.
bool same(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return a == b;
  if (a.type() != b.type() || a.size() != b.size()) return false;
  if (a.is_array())
    return std::equal(a.begin(), a.end(), b.begin(), [](const Json& x, const Json& y) { return same(x, y); });
  if (!a.is_object()) return a == b;
  for (auto it = a.begin(); it != a.end(); ++it)
    if (!b.contains(it.key()) || !same(*it, b.at(it.key()))) return false;
  return true;
}

}  // namespace

bool SchemaCompiler::satisfies_all(const Json& value, const Flat& flat) {
  return (type_of(value) & flat.types) &&
         std::all_of(flat.schemas.begin(), flat.schemas.end(),
                     [&](const Json* schema) { return satisfies_keywords(value, *schema, 0); });
}

bool SchemaCompiler::satisfies(const Json& value, const Json& schema, int depth) {
  if (schema.is_boolean()) return schema == true;
  if (!schema.is_object()) fail(schema, "", "expected a schema, found " + schema.dump());
  if (depth > kMaxDepth) fail(schema, "", "a value of an enumeration is nested too deeply");
  check_keywords(schema);
  if (!(types_of(schema) & type_of(value))) return false;
  if (const Json* ref = keyword(schema, "$ref"))
    if (!satisfies(value, resolve(schema, ref->get<std::string>()), depth + 1)) return false;
  const auto holds = [&](const Json& s) { return satisfies(value, s, depth + 1); };
  if (const Json* all = keyword(schema, "allOf"))
    if (!std::all_of(all->begin(), all->end(), holds)) return false;
  if (const Json* any = keyword(schema, "anyOf"))
    if (!std::any_of(any->begin(), any->end(), holds)) return false;
  if (const Json* one = keyword(schema, "oneOf"))
    if (std::count_if(one->begin(), one->end(), holds) != 1) return false;
  if (keyword(schema, "not") && (not_types(schema) & type_of(value))) return false;
  return satisfies_keywords(value, schema, depth);
}

bool SchemaCompiler::satisfies_keywords(const Json& value, const Json& schema, int depth) {
  const Json* constant = keyword(schema, "const");
  if (constant && !same(value, *constant)) return false;
  const Json* list = keyword(schema, "enum");
  if (list && std::none_of(list->begin(), list->end(), [&](const Json& v) { return same(v, value); }))
    return false;
  if (value.is_number()) return number_satisfies(value, schema);
  if (value.is_array()) return array_satisfies(value, schema, depth);
  if (value.is_object()) return object_satisfies(value, schema, depth);
  if (!value.is_string()) return true;
  const std::string& text = value.get_ref<const std::string&>();
  std::vector<uint32_t> characters;
  if (!decode_utf8(text, characters)) return false;
  const auto length = static_cast<int64_t>(characters.size());
  if (keyword(schema, "minLength") && length < count(schema, "minLength")) return false;
  if (keyword(schema, "maxLength") && length > count(schema, "maxLength")) return false;
  const Json* format = keyword(schema, "format");
  const char* known = format && format->is_string() ? format_pattern(format->get<std::string>()) : nullptr;
  if (known && !pattern_dfa(schema, known, false).matches(text)) return false;
  const Json* regex = keyword(schema, "pattern");
  return !regex || pattern_dfa(schema, regex->get<std::string>(), true).matches(text);
}

bool SchemaCompiler::number_satisfies(const Json& value, const Json& schema) {
  Flat flat;
  flat.schemas = {&schema};
  const NumberRange range = number_range(flat);
  const Decimal number = decimal(schema, "", value);
  for (const auto& [bound, exclusive] : range.lowest)
    if (compare(number, bound) < (exclusive ? 1 : 0)) return false;
  for (const auto& [bound, exclusive] : range.highest)
    if (compare(number, bound) > (exclusive ? -1 : 0)) return false;
  return std::all_of(range.multiples.begin(), range.multiples.end(),
                     [&](const Decimal& multiple) { return is_multiple(number, multiple); });
}

bool SchemaCompiler::array_satisfies(const Json& value, const Json& schema, int depth) {
  Flat flat;
  flat.schemas = {&schema};
  const auto size = static_cast<int64_t>(value.size());
  if (keyword(schema, "minItems") && size < count(schema, "minItems")) return false;
  if (keyword(schema, "maxItems") && size > count(schema, "maxItems")) return false;
  for (size_t i = 0; i < value.size(); i++)
    for (const Json* s : item(flat, i))
      if (!satisfies(value[i], *s, depth + 1)) return false;
  return true;
}

bool SchemaCompiler::object_satisfies(const Json& value, const Json& schema, int depth) {
  Flat flat;
  flat.schemas = {&schema};
  const ObjectShape shape = object_shape(flat);
  const auto size = static_cast<int64_t>(value.size());
  if (size < shape.min || (shape.max != kNoMaximum && size > shape.max)) return false;
  for (const std::string& name : shape.required)
    if (!value.contains(name)) return false;
  for (auto it = value.begin(); it != value.end(); ++it)
    for (const Json* s : property(flat, it.key()))
      if (!satisfies(*it, *s, depth + 1)) return false;
  return true;
}

bool SchemaCompiler::disjoint(const Schemas& a, const Schemas& b, int depth) {
  const std::vector<Flat> left = expand(a), right = expand(b);
  return std::all_of(left.begin(), left.end(), [&](const Flat& x) {
    return std::all_of(right.begin(), right.end(),
                       [&](const Flat& y) { return disjoint(x, y, depth); });
  });
}

bool SchemaCompiler::disjoint(const Flat& a, const Flat& b, int depth) {
  if (++disjoint_work_ > kDisjointWork) fail(document_, "", "oneOf with too many alternatives");
  const uint8_t common = a.types & b.types;
  if (common == 0 || values_miss(a, b) || values_miss(b, a)) return true;
  if (common & (kNull | kBoolean | kArray)) return false;
  if ((common & kNumber) && !numbers_disjoint(a, b)) return false;
  if ((common & kString) && !strings_disjoint(a, b)) return false;
  return !(common & kObject) || objects_disjoint(a, b, depth);
}

bool SchemaCompiler::values_miss(const Flat& a, const Flat& b) {
  if (!has_values(a)) return false;
  const std::vector<Json> all = values(a);
  return std::none_of(all.begin(), all.end(), [&](const Json& v) { return satisfies_all(v, b); });
}

bool SchemaCompiler::numbers_disjoint(const Flat& a, const Flat& b) {
  const NumberRange left = number_range(a), right = number_range(b);
  const auto above = [](const NumberRange& high, const NumberRange& low) {
    for (const auto& [lowest, open] : high.lowest)
      for (const auto& [highest, also_open] : low.highest) {
        const int order = compare(lowest, highest);
        if (order > 0 || (order == 0 && (open || also_open))) return true;
      }
    return false;
  };
  return above(left, right) || above(right, left);
}

bool SchemaCompiler::strings_disjoint(const Flat& a, const Flat& b) {
  Grammar characters;
  std::vector<CharTerm> terms = string_terms(a, characters);
  for (const CharTerm& term : string_terms(b, characters)) terms.push_back(term);
  if (terms.size() < 2) return false;
  return intersect(characters, terms, "[json schema] oneOf").empty;
}

// No text that is made for one matches the other: a property that one of them requires can't be in
// the other, or has values there that are not allowed here.
bool SchemaCompiler::objects_disjoint(const Flat& a, const Flat& b, int depth) {
  if (depth > kDisjointDepth) return false;
  const ObjectShape left = object_shape(a), right = object_shape(b);
  const auto unknown = [](const ObjectShape& shape, const std::string& name) {
    return shape.closed &&
           std::find(shape.names.begin(), shape.names.end(), name) == shape.names.end();
  };
  // Only what is made for a closed shape is closed; values of the other may have more.
  const auto missing = [&](const ObjectShape& from, const ObjectShape& in) {
    return std::any_of(from.required.begin(), from.required.end(),
                       [&](const std::string& name) { return unknown(in, name); });
  };
  if (missing(left, right) && missing(right, left)) return true;
  std::set<std::string> names = left.required;
  names.insert(right.required.begin(), right.required.end());
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return disjoint(property(a, name), property(b, name), depth + 1);
  });
}

}  // namespace mica::grammar

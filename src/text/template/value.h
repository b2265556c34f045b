// The values of the template language: Python's, as far as templates see them. Lists, tuples and
// dicts never change after they were made (the sandbox forbids it), so they are shared freely.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/template/template_error.h"

namespace mica::jinja {

class Interpreter;
class Value;
struct Arguments;

// Wide enough for every 64-bit number of JSON and for what templates compute with them; beyond
// its range an operation raises OverflowError (Python's integers have no end).
__extension__ using Int = __int128;
std::string int_to_string(Int value);

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kRange,
  kDictView,
  kIterator,
  kNamespace,
  kObject,  // macros, methods, functions, loop, cycler, joiner
};

// Base of what lives on the heap. `bytes` is charged to the memory of the running render.
struct Object {
  explicit Object(size_t bytes = 64);
  virtual ~Object();
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  uint32_t depth = 0;  // of containers: one more than the deepest element; bounds all recursion

 private:
  size_t charged_ = 0;
};

// Counts the live bytes of the values of one render on this thread and raises kLimit beyond
// `limit`; values made while none is active (constants) are not counted.
class MemoryBudget {
 public:
  explicit MemoryBudget(size_t limit);
  ~MemoryBudget();
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;
  static size_t charge(size_t bytes);  // what was charged: 0 without an active budget
  static void release(size_t bytes);

 private:
  MemoryBudget* outer_;
  size_t limit_;
  size_t used_ = 0;
};

constexpr uint32_t kMaxContainerDepth = 200;
constexpr size_t kMaxStringBytes = size_t{16} << 20;
constexpr size_t kMaxElements = size_t{1} << 20;

struct StringObject : Object {
  StringObject(std::string t, bool markup);
  const std::string text;
  const bool ascii;
  const bool markup;  // markupsafe.Markup: what joins it is escaped
};

struct UndefinedObject : Object {
  UndefinedObject(std::string m, ErrorType t) : message(std::move(m)), type(t) {}
  const std::string message;
  const ErrorType type;
};

struct ListObject : Object {  // lists and tuples
  explicit ListObject(std::vector<Value> v);
  ~ListObject() override;
  const std::vector<Value> items;
  bool is_group = false;  // of `groupby`: attributes grouper and list
};

class DictObject;
struct RangeObject : Object {
  Int start = 0, stop = 0, step = 1;
  Int size() const;
};

// A Python iterator: gives each item once.
class Iterator : public Object {
 public:
  using Next = std::function<bool(Value&)>;
  // `name` is Python's type name, `source_depth` the depth of what it reads from.
  Iterator(Next next, uint32_t source_depth, std::string name = "generator");
  bool next(Value& out) { return next_(out); }
  const std::string name;

 private:
  Next next_;
};
using IteratorPtr = std::shared_ptr<Iterator>;

// Something with attributes that may be called.
struct CallableObject : Object {
  virtual Value call(Interpreter& interpreter, Arguments& arguments) = 0;
  virtual bool attribute(Interpreter& interpreter, const std::string& name, Value& out);
  virtual std::string repr() const = 0;
  virtual bool callable() const { return true; }
};

class Value {
 public:
  Value() : kind_(Kind::kNone), int_(0) {}
  static Value undefined(std::string message, ErrorType type = ErrorType::kUndefined);
  static Value boolean(bool value);
  static Value integer(Int value);
  static Value real(double value);
  static Value string(std::string text, bool markup = false);
  static Value list(std::vector<Value> items);
  static Value tuple(std::vector<Value> items);
  static Value dict(std::shared_ptr<DictObject> dict);
  static Value object(Kind kind, std::shared_ptr<Object> object);
  static Value generator(Iterator::Next next, const Value& source, std::string name = "generator");

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }
  bool is_markup() const { return is_string() && string_object().markup; }

  bool as_bool() const { return int_ != 0; }
  Int as_int() const { return int_; }  // of bool and int
  double as_double() const;            // of bool, int and float
  const StringObject& string_object() const;
  const std::string& text() const { return string_object().text; }
  const std::vector<Value>& items() const;  // of list and tuple
  const DictObject& dict_object() const;
  const RangeObject& range() const;
  Iterator& iterator() const;
  const UndefinedObject& undefined_object() const;
  CallableObject& callable_object() const;
  const std::shared_ptr<Object>& pointer() const { return object_; }
  uint32_t depth() const { return object_ ? object_->depth : 0; }

 private:
  Kind kind_;
  union {
    Int int_;
    double float_;
  };
  std::shared_ptr<Object> object_;
};

// Insertion-ordered, with an index from a certain size on. Built once by DictBuilder's caller.
class DictObject : public Object {
 public:
  using Entry = std::pair<Value, Value>;
  explicit DictObject(std::vector<Entry> entries);  // later entries of an equal key win
  ~DictObject() override;
  const Value* find(const Value& key) const;  // raises TypeError for a key without a hash
  const Value* find(std::string_view key) const;
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  size_t locate(const Value& key, size_t hash) const;
  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // open addressing, entry index + 1
  std::vector<size_t> hashes_;
};

enum class DictPart : uint8_t { kKeys, kValues, kItems };
struct DictViewObject : Object {
  DictViewObject(Value d, DictPart p) : dict(std::move(d)), part(p) { depth = dict.depth() + 1; }
  Value at(size_t index) const;
  const Value dict;
  const DictPart part;
};

struct NamespaceObject : Object {
  std::vector<std::pair<std::string, Value>> attributes;
  Value* find(std::string_view name);
};

// The arguments of a call: positional, then by name.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

bool truthy(const Value& value);
bool equals(const Value& a, const Value& b);
bool is_same(const Value& a, const Value& b);  // Python's `is`
size_t hash_of(const Value& value);            // raises TypeError for lists and dicts
// Python's a < b, a > b, a <= b, a >= b; raises TypeError where the types have no order.
enum class Order : uint8_t { kLess, kGreater, kLessEqual, kGreaterEqual };
bool compare(const Value& a, const Value& b, Order order);
bool contains(Interpreter& interpreter, const Value& container, const Value& item);
// len(); raises TypeError for what has none.
Int length_of(const Value& value);
bool has_length(const Value& value);
bool is_iterable(const Value& value);
std::string type_name(const Value& value);
IteratorPtr iterate(const Value& value);  // raises TypeError for what is not iterable
std::vector<Value> to_vector(Interpreter& interpreter, const Value& value);
[[noreturn]] void raise_undefined(const Value& value);

std::string to_str(const Value& value);   // Python's str()
std::string to_repr(const Value& value);  // Python's repr()
std::string string_repr(std::string_view text);
std::string float_repr(double value);

Value from_json(const nlohmann::ordered_json& json, int depth = 0);

struct JsonOptions {
  bool ensure_ascii = false;
  bool has_indent = false;
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
std::string to_json(const Value& value, const JsonOptions& options);  // Python's json.dumps

std::string html_escape(std::string_view text);

}  // namespace mica::jinja

// Attributes and methods of built-in types, with the rules of jinja2's immutable sandbox: what
// would change a value, and names that begin with an underscore, are undefined and unusable.
#include <algorithm>
#include <array>

#include "text/template/arguments.h"
#include "text/template/interpreter.h"

namespace mica::jinja {
namespace {

class MethodObject : public CallableObject {
 public:
  MethodObject(Value self, std::string name, MethodBody body)
      : self_(std::move(self)), name_(std::move(name)), body_(body) {
    depth = self_.depth();
  }
  Value call(Interpreter& interpreter, Arguments& arguments) override {
    return body_(interpreter, self_, arguments);
  }
  std::string repr() const override {
    return "<built-in method " + name_ + " of " + type_name(self_) + " object>";
  }

 private:
  Value self_;
  std::string name_;
  MethodBody body_;
};

Value view(const Value& self, const Arguments& arguments, const char* name, DictPart part) {
  bind(name, arguments, {}, 0);
  return Value::object(Kind::kDictView, std::make_shared<DictViewObject>(self, part));
}

Value dict_get(Interpreter&, const Value& self, const Arguments& arguments) {
  Bound bound = bind("get", arguments, {"", ""}, 1);
  const Value* found = self.dict_object().find(bound[0]);
  return found ? *found : bound[1];
}

Value sequence_index(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Bound bound = bind("index", arguments, {"", "", ""}, 1);
  Int size = length_of(self);
  auto clamped = [&](size_t i, Int otherwise) {
    Int index = bound.integer(i, otherwise);
    return std::clamp<Int>(index < 0 ? index + size : index, 0, size);
  };
  Int stop = clamped(2, size);
  for (Int i = clamped(1, 0); i < stop; ++i) {
    interpreter.charge_steps(1);
    if (equals(self.items()[static_cast<size_t>(i)], bound[0])) return Value::integer(i);
  }
  raise(ErrorType::kValue, "the value is not in the {}", type_name(self));
}

Value sequence_count(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Bound bound = bind("count", arguments, {""}, 1);
  Int count = 0;
  for (const Value& item : self.items()) {
    interpreter.charge_steps(1);
    count += is_same(item, bound[0]) || equals(item, bound[0]);
  }
  return Value::integer(count);
}

Value copy(Interpreter&, const Value& self, const Arguments& arguments) {
  bind("copy", arguments, {}, 0);
  return self;
}

Value bit_length(Interpreter&, const Value& self, const Arguments& arguments) {
  bind("bit_length", arguments, {}, 0);
  Int value = self.as_int() < 0 ? -self.as_int() : self.as_int();
  Int bits = 0;
  for (; value; value /= 2) ++bits;
  return Value::integer(bits);
}

Value is_integer(Interpreter&, const Value& self, const Arguments& arguments) {
  bind("is_integer", arguments, {}, 0);
  double value = self.as_double();
  return Value::boolean(value ==
                        static_cast<double>(static_cast<Int>(std::clamp(value, -1e35, 1e35))));
}

Value bit_count(Interpreter&, const Value& self, const Arguments& arguments) {
  bind("bit_count", arguments, {}, 0);
  Int value = self.as_int() < 0 ? -self.as_int() : self.as_int();
  Int bits = 0;
  for (; value; value /= 2) bits += value % 2;
  return Value::integer(bits);
}

Value integer_ratio(Interpreter&, const Value& self, const Arguments& arguments) {
  bind("as_integer_ratio", arguments, {}, 0);
  return Value::tuple({Value::integer(self.as_int()), Value::integer(1)});
}

Value conjugate(Interpreter&, const Value& self, const Arguments& arguments) {
  bind("conjugate", arguments, {}, 0);
  return self.is_integral() ? Value::integer(self.as_int()) : self;
}

Value range_count(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Bound bound = bind("count", arguments, {""}, 1);
  return Value::integer(contains(interpreter, self, bound[0]) ? 1 : 0);
}

Value range_index(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Bound bound = bind("index", arguments, {""}, 1);
  if (!contains(interpreter, self, bound[0])) {
    raise(ErrorType::kValue, "{} is not in range", to_repr(bound[0]));
  }
  Int number = bound[0].is_integral() ? bound[0].as_int() : static_cast<Int>(bound[0].as_double());
  return Value::integer((number - self.range().start) / self.range().step);
}

Value is_disjoint(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Bound bound = bind("isdisjoint", arguments, {""}, 1);
  for (const Value& item : to_vector(interpreter, bound[0])) {
    if (contains(interpreter, self, item)) return Value::boolean(false);
  }
  return Value::boolean(true);
}

template <const char* const& filter>
Value by_filter(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return find_text_filter(filter)(interpreter, self, arguments);
}
const char* const kStripTags = "striptags";

Value escape(Interpreter& interpreter, const Value&, const Arguments& arguments) {
  Bound bound = bind("escape", arguments, {"s"}, 1);
  return find_text_filter("escape")(interpreter, bound[0], {});
}

// Methods that a template may ask for but not call: they deal in bytes, sets or generators.
Value unsupported(Interpreter&, const Value& self, const Arguments&) {
  raise(ErrorType::kType, "this method of '{}' objects is not supported", type_name(self));
}

constexpr MethodEntry kDictMethods[] = {
    {"get", dict_get},
    {"keys", [](Interpreter&, const Value& s,
                const Arguments& a) { return view(s, a, "keys", DictPart::kKeys); }},
    {"values", [](Interpreter&, const Value& s,
                  const Arguments& a) { return view(s, a, "values", DictPart::kValues); }},
    {"items", [](Interpreter&, const Value& s,
                 const Arguments& a) { return view(s, a, "items", DictPart::kItems); }},
    {"copy", copy},
    {"fromkeys",
     [](Interpreter& i, const Value&, const Arguments& a) { return dict_from_keys(i, a); }},
};
constexpr MethodEntry kListMethods[] = {
    {"index", sequence_index}, {"count", sequence_count}, {"copy", copy}};
constexpr MethodEntry kTupleMethods[] = {{"index", sequence_index}, {"count", sequence_count}};
constexpr MethodEntry kRangeMethods[] = {{"index", range_index}, {"count", range_count}};
constexpr MethodEntry kSetMethods[] = {{"isdisjoint", is_disjoint}};  // of keys and items
constexpr MethodEntry kIntMethods[] = {
    {"bit_length", bit_length}, {"bit_count", bit_count},    {"as_integer_ratio", integer_ratio},
    {"conjugate", conjugate},   {"from_bytes", unsupported}, {"to_bytes", unsupported}};
constexpr MethodEntry kFloatMethods[] = {{"is_integer", is_integer},
                                         {"conjugate", conjugate},
                                         {"as_integer_ratio", unsupported},
                                         {"hex", unsupported},
                                         {"fromhex", unsupported}};
constexpr MethodEntry kStringMethods[] = {
    {"encode", unsupported}, {"translate", unsupported}, {"maketrans", unsupported}};
constexpr MethodEntry kMarkupMethods[] = {
    {"escape", escape}, {"striptags", by_filter<kStripTags>}, {"unescape", unsupported}};
constexpr MethodEntry kGeneratorMethods[] = {
    {"close", unsupported}, {"send", unsupported}, {"throw", unsupported}};

template <size_t n>
MethodBody find_in(const MethodEntry (&table)[n], std::string_view name) {
  for (const MethodEntry& entry : table) {
    if (entry.name == name) return entry.body;
  }
  return nullptr;
}

MethodBody find_text_method(const Value& object, std::string_view name) {
  MethodBody body = find_string_method(name);
  if (!body) body = find_in(kStringMethods, name);
  return body || !object.is_markup() ? body : find_in(kMarkupMethods, name);
}

MethodBody find_method(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kString: return find_text_method(object, name);
    case Kind::kDict: return find_in(kDictMethods, name);
    case Kind::kList: return find_in(kListMethods, name);
    case Kind::kTuple: return find_in(kTupleMethods, name);
    case Kind::kBool:
    case Kind::kInt: return find_in(kIntMethods, name);
    case Kind::kFloat: return find_in(kFloatMethods, name);
    case Kind::kRange: return find_in(kRangeMethods, name);
    case Kind::kDictView: {
      auto part = static_cast<const DictViewObject&>(*object.pointer()).part;
      return part == DictPart::kValues ? nullptr : find_in(kSetMethods, name);
    }
    case Kind::kIterator:
      return object.iterator().name == "generator" ? find_in(kGeneratorMethods, name) : nullptr;
    default: return nullptr;
  }
}

template <typename Names>
bool is_one_of(const Names& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// Methods that change their object; the sandbox hides them.
bool is_forbidden(const Value& object, std::string_view name) {
  static constexpr std::string_view kList[] = {"append", "clear", "pop",    "reverse",
                                               "insert", "sort",  "extend", "remove"};
  static constexpr std::string_view kDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  static constexpr std::string_view kSpecial[] = {
      "__class__",  "__delattr__",   "__dir__",         "__doc__",
      "__eq__",     "__format__",    "__ge__",          "__getattribute__",
      "__gt__",     "__hash__",      "__init__",        "__init_subclass__",
      "__le__",     "__lt__",        "__ne__",          "__new__",
      "__reduce__", "__reduce_ex__", "__repr__",        "__setattr__",
      "__sizeof__", "__str__",       "__subclasshook__"};
  static constexpr std::string_view kContainer[] = {"__len__", "__getitem__", "__contains__",
                                                    "__iter__"};
  if (name.starts_with("__")) {
    return is_one_of(kSpecial, name) || (has_length(object) && is_one_of(kContainer, name));
  }
  return (object.is(Kind::kList) && is_one_of(kList, name)) ||
         (object.is(Kind::kDict) && is_one_of(kDict, name));
}

Value unsafe(const Value& object, const std::string& name) {
  return Value::undefined(
      fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type_name(object)),
      ErrorType::kSecurity);
}

bool number_attribute(const Value& object, const std::string& name, Value& out) {
  bool is_real = name == "real";
  bool is_imaginary = name == "imag";
  if (object.is(Kind::kFloat)) {
    if (is_real) out = object;
    if (is_imaginary) out = Value::real(0);
    return is_real || is_imaginary;
  }
  if (is_real || name == "numerator") {
    out = Value::integer(object.as_int());
  } else if (is_imaginary || name == "denominator") {
    out = Value::integer(is_imaginary ? 0 : 1);
  } else {
    return false;
  }
  return true;
}

bool plain_attribute(Interpreter& interpreter, const Value& object, const std::string& name,
                     Value& out) {
  switch (object.kind()) {
    case Kind::kNamespace: {
      Value* found = static_cast<NamespaceObject&>(*object.pointer()).find(name);
      if (found) out = *found;
      return found != nullptr;
    }
    case Kind::kObject: return object.callable_object().attribute(interpreter, name, out);
    case Kind::kTuple: {
      bool is_group = static_cast<const ListObject&>(*object.pointer()).is_group;
      if (!is_group || (name != "grouper" && name != "list")) return false;
      out = object.items()[name == "list"];
      return true;
    }
    case Kind::kDictView:
      if (name != "mapping") return false;
      out = static_cast<const DictViewObject&>(*object.pointer()).dict;
      return true;
    case Kind::kRange: {
      const RangeObject& range = object.range();
      if (name != "start" && name != "stop" && name != "step") return false;
      out = Value::integer(name == "start"  ? range.start
                           : name == "stop" ? range.stop
                                            : range.step);
      return true;
    }
    default: return object.is_number() && number_attribute(object, name, out);
  }
}

}  // namespace

Value undefined_attribute(const Value& object, const std::string& name) {
  if (!is_forbidden(object, name)) raise_undefined(object);
  return unsafe(object, name);
}

bool builtin_attribute(Interpreter& interpreter, const Value& object, const std::string& name,
                       Value& out) {
  if (plain_attribute(interpreter, object, name, out)) return true;
  if (MethodBody body = find_method(object, name)) {
    out = Value::object(Kind::kObject, std::make_shared<MethodObject>(object, name, body));
    return true;
  }
  if (!is_forbidden(object, name)) return false;
  out = unsafe(object, name);
  return true;
}

}  // namespace mica::jinja

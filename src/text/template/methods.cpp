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

constexpr MethodEntry kDictMethods[] = {
    {"get", dict_get},
    {"keys", [](Interpreter&, const Value& s,
                const Arguments& a) { return view(s, a, "keys", DictPart::kKeys); }},
    {"values", [](Interpreter&, const Value& s,
                  const Arguments& a) { return view(s, a, "values", DictPart::kValues); }},
    {"items", [](Interpreter&, const Value& s,
                 const Arguments& a) { return view(s, a, "items", DictPart::kItems); }},
    {"copy", copy},
};
constexpr MethodEntry kListMethods[] = {
    {"index", sequence_index}, {"count", sequence_count}, {"copy", copy}};
constexpr MethodEntry kTupleMethods[] = {{"index", sequence_index}, {"count", sequence_count}};
constexpr MethodEntry kIntMethods[] = {{"bit_length", bit_length}};
constexpr MethodEntry kFloatMethods[] = {{"is_integer", is_integer}};

template <size_t n>
MethodBody find_in(const MethodEntry (&table)[n], std::string_view name) {
  for (const MethodEntry& entry : table) {
    if (entry.name == name) return entry.body;
  }
  return nullptr;
}

MethodBody find_method(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kString: return find_string_method(name);
    case Kind::kDict: return find_in(kDictMethods, name);
    case Kind::kList: return find_in(kListMethods, name);
    case Kind::kTuple: return find_in(kTupleMethods, name);
    case Kind::kBool:
    case Kind::kInt: return find_in(kIntMethods, name);
    case Kind::kFloat: return find_in(kFloatMethods, name);
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

bool builtin_attribute(Interpreter& interpreter, const Value& object, const std::string& name,
                       Value& out) {
  if (plain_attribute(interpreter, object, name, out)) return true;
  if (MethodBody body = find_method(object, name)) {
    out = Value::object(Kind::kObject, std::make_shared<MethodObject>(object, name, body));
    return true;
  }
  if (!is_forbidden(object, name)) return false;
  out = Value::undefined(
      fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type_name(object)),
      ErrorType::kSecurity);
  return true;
}

}  // namespace mica::jinja

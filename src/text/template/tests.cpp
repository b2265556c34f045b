// The tests of `x is name(…)`.
#include <algorithm>
#include <cmath>

#include "text/template/arguments.h"
#include "text/template/interpreter.h"
#include "text/template/unicode.h"

namespace mica::jinja {
namespace {

const Value& only_argument(const char* name, const Arguments& arguments) {
  if (arguments.positional.size() != 1 || !arguments.named.empty()) {
    raise(ErrorType::kType, "the test '{}' takes one argument", name);
  }
  return arguments.positional[0];
}

void no_arguments(const Arguments& arguments) {
  if (!arguments.positional.empty() || !arguments.named.empty()) {
    raise(ErrorType::kType, "the test takes no arguments");
  }
}

template <bool (*predicate)(const Value&)>
bool simple(Interpreter&, const Value& input, const Arguments& arguments) {
  no_arguments(arguments);
  return predicate(input);
}

template <Order order>
bool ordered(Interpreter&, const Value& input, const Arguments& arguments) {
  return compare(input, only_argument("comparison", arguments), order);
}

bool is_multiple(Interpreter& interpreter, const Value& input, const Value& by, Int rest) {
  static const std::string kModulo = "%";
  Value remainder = binary(interpreter, kModulo, input, by);
  return equals(remainder, Value::integer(rest));
}

bool is_cased(const Value& value, bool upper) {
  bool any = false;
  std::string text = to_str(value);
  for (size_t i = 0; i < text.size();) {
    char32_t code = next_code_point(text, i);
    if (is_title(code) || (upper ? is_lower(code) : is_upper(code))) return false;
    any |= upper ? is_upper(code) : is_lower(code);
  }
  return any;
}

bool is_sequence(const Value& value) {
  // Python's dict views have no items by index; an undefined value has both methods.
  return has_length(value) && !value.is(Kind::kDictView);
}

struct TestEntry {
  std::string_view name;
  TestBody body;
};

bool test_eq(Interpreter&, const Value& a, const Arguments& b) {
  return equals(a, only_argument("eq", b));
}
bool test_ne(Interpreter&, const Value& a, const Arguments& b) {
  return !equals(a, only_argument("ne", b));
}

constexpr TestEntry kTests[] = {
    {"defined", simple<[](const Value& v) { return !v.is_undefined(); }>},
    {"undefined", simple<[](const Value& v) { return v.is_undefined(); }>},
    {"none", simple<[](const Value& v) { return v.is_none(); }>},
    {"boolean", simple<[](const Value& v) { return v.is(Kind::kBool); }>},
    {"true", simple<[](const Value& v) { return v.is(Kind::kBool) && v.as_bool(); }>},
    {"false", simple<[](const Value& v) { return v.is(Kind::kBool) && !v.as_bool(); }>},
    {"integer", simple<[](const Value& v) { return v.is(Kind::kInt); }>},
    {"float", simple<[](const Value& v) { return v.is(Kind::kFloat); }>},
    {"number", simple<[](const Value& v) { return v.is_number(); }>},
    {"string", simple<[](const Value& v) { return v.is_string(); }>},
    {"mapping", simple<[](const Value& v) { return v.is(Kind::kDict); }>},
    {"sequence", simple<is_sequence>},
    {"iterable", simple<is_iterable>},
    {"callable", simple<[](const Value& v) {
       return v.is_undefined() || (v.is(Kind::kObject) && v.callable_object().callable());
     }>},
    {"escaped", simple<[](const Value& v) { return v.is_markup(); }>},
    {"lower", simple<[](const Value& v) { return is_cased(v, false); }>},
    {"upper", simple<[](const Value& v) { return is_cased(v, true); }>},
    {"odd",
     [](Interpreter& i, const Value& v, const Arguments& a) {
       no_arguments(a);
       return is_multiple(i, v, Value::integer(2), 1);
     }},
    {"even",
     [](Interpreter& i, const Value& v, const Arguments& a) {
       no_arguments(a);
       return is_multiple(i, v, Value::integer(2), 0);
     }},
    {"divisibleby",
     [](Interpreter& i, const Value& v, const Arguments& a) {
       return is_multiple(i, v, bind("divisibleby", a, {"num"}, 1)[0], 0);
     }},
    {"sameas", [](Interpreter&, const Value& v,
                  const Arguments& a) { return is_same(v, bind("sameas", a, {"other"}, 1)[0]); }},
    {"in", [](Interpreter& i, const Value& v,
              const Arguments& a) { return contains(i, bind("in", a, {"seq"}, 1)[0], v); }},
    {"filter",
     [](Interpreter&, const Value& v, const Arguments& a) {
       no_arguments(a);
       hash_of(v);
       return v.is_string() && find_filter(v.text()) != nullptr;
     }},
    {"test",
     [](Interpreter&, const Value& v, const Arguments& a) {
       no_arguments(a);
       hash_of(v);
       return v.is_string() && find_test(v.text()) != nullptr;
     }},
    {"==", test_eq},
    {"eq", test_eq},
    {"equalto", test_eq},
    {"!=", test_ne},
    {"ne", test_ne},
    {"<", ordered<Order::kLess>},
    {"lt", ordered<Order::kLess>},
    {"lessthan", ordered<Order::kLess>},
    {"<=", ordered<Order::kLessEqual>},
    {"le", ordered<Order::kLessEqual>},
    {">", ordered<Order::kGreater>},
    {"gt", ordered<Order::kGreater>},
    {"greaterthan", ordered<Order::kGreater>},
    {">=", ordered<Order::kGreaterEqual>},
    {"ge", ordered<Order::kGreaterEqual>},
};

}  // namespace

TestBody find_test(std::string_view name) {
  for (const TestEntry& entry : kTests) {
    if (entry.name == name) return entry.body;
  }
  return nullptr;
}

}  // namespace mica::jinja

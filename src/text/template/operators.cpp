// Arithmetic and slices, as Python defines them.
#include <algorithm>
#include <cmath>

#include "text/template/arguments.h"
#include "text/template/interpreter.h"
#include "text/template/unicode.h"

namespace mica::jinja {
namespace {

constexpr Int kIntLimit = Int{1} << 120;

Int checked(Int value) {
  if (value > kIntLimit || value < -kIntLimit) {
    raise(ErrorType::kOverflow, "an integer beyond the supported range");
  }
  return value;
}

Int multiply(Int a, Int b) {
  if (a == 0 || b == 0) return 0;
  Int left = a < 0 ? -a : a;
  Int right = b < 0 ? -b : b;
  if (left > kIntLimit / right) {
    raise(ErrorType::kOverflow, "an integer beyond the supported range");
  }
  return a * b;
}

Int floor_divide(Int a, Int b) {
  if (b == 0) raise(ErrorType::kZeroDivision, "integer division or modulo by zero");
  Int quotient = a / b;
  return quotient * b != a && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

double float_modulo(double a, double b) {
  if (b == 0) raise(ErrorType::kZeroDivision, "float modulo");
  double result = std::fmod(a, b);
  if (result != 0 && (result < 0) != (b < 0)) result += b;
  if (result == 0) result = std::copysign(0.0, b);
  return result;
}

double float_floor_divide(double a, double b) {
  if (b == 0) raise(ErrorType::kZeroDivision, "float floor division by zero");
  double modulo = std::fmod(a, b);
  double quotient = (a - modulo) / b;
  if (modulo != 0 && (modulo < 0) != (b < 0)) quotient -= 1.0;
  if (quotient == 0) return std::copysign(0.0, a / b);
  double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1.0 : floored;
}

Value float_power(double a, double b) {
  if (a == 0 && b < 0) {
    raise(ErrorType::kZeroDivision, "0.0 cannot be raised to a negative power");
  }
  if (a < 0 && b != std::floor(b) && std::isfinite(b)) {
    raise(ErrorType::kType, "complex numbers are not supported");
  }
  double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) {
    raise(ErrorType::kOverflow, "the power is too large");
  }
  return Value::real(result);
}

Value int_power(Int base, Int exponent) {
  if (exponent < 0) return float_power(static_cast<double>(base), static_cast<double>(exponent));
  if (base == 0 || base == 1) return Value::integer(exponent == 0 ? 1 : base);
  if (base == -1) return Value::integer(exponent % 2 == 0 ? 1 : -1);
  if (exponent > 200) raise(ErrorType::kOverflow, "an integer beyond the supported range");
  Int result = 1;
  for (Int i = 0; i < exponent; ++i) result = multiply(result, base);
  return Value::integer(result);
}

Value int_arithmetic(const std::string& op, Int a, Int b) {
  if (op == "+") return Value::integer(checked(a + b));
  if (op == "-") return Value::integer(checked(a - b));
  if (op == "*") return Value::integer(multiply(a, b));
  if (op == "//") return Value::integer(floor_divide(a, b));
  if (op == "%") return Value::integer(a - multiply(floor_divide(a, b), b));
  if (op == "**") return int_power(a, b);
  if (b == 0) raise(ErrorType::kZeroDivision, "division by zero");
  return Value::real(static_cast<double>(a) / static_cast<double>(b));
}

Value float_arithmetic(const std::string& op, double a, double b) {
  if (op == "+") return Value::real(a + b);
  if (op == "-") return Value::real(a - b);
  if (op == "*") return Value::real(a * b);
  if (op == "//") return Value::real(float_floor_divide(a, b));
  if (op == "%") return Value::real(float_modulo(a, b));
  if (op == "**") return float_power(a, b);
  if (b == 0) raise(ErrorType::kZeroDivision, "float division by zero");
  return Value::real(a / b);
}

Value add_strings(Interpreter& interpreter, const Value& a, const Value& b) {
  interpreter.charge_bytes(a.text().size() + b.text().size());
  if (a.is_markup() || b.is_markup()) {
    return Value::string((a.is_markup() ? a.text() : html_escape(a.text())) +
                             (b.is_markup() ? b.text() : html_escape(b.text())),
                         true);
  }
  return Value::string(a.text() + b.text());
}

Value repeat(Interpreter& interpreter, const Value& value, Int times) {
  size_t count = static_cast<size_t>(std::clamp<Int>(times, 0, Int{1} << 40));
  if (value.is_string()) {
    if (count > 0 && value.text().size() > kMaxStringBytes / count) {
      raise(ErrorType::kLimit, "the repeated string is too long");
    }
    std::string text;
    text.reserve(value.text().size() * count);
    for (size_t i = 0; i < count && !value.text().empty(); ++i) text += value.text();
    interpreter.charge_bytes(text.size());
    return Value::string(std::move(text), value.is_markup());
  }
  const auto& items = value.items();
  if (count > 0 && items.size() > kMaxElements / count) {
    raise(ErrorType::kLimit, "the repeated list is too long");
  }
  std::vector<Value> out;
  for (size_t i = 0; i < count && !items.empty(); ++i) {
    out.insert(out.end(), items.begin(), items.end());
  }
  interpreter.charge_steps(out.size());
  return value.is(Kind::kList) ? Value::list(std::move(out)) : Value::tuple(std::move(out));
}

Value concatenate(Interpreter& interpreter, const Value& a, const Value& b) {
  std::vector<Value> items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  interpreter.charge_steps(items.size());
  return a.is(Kind::kList) ? Value::list(std::move(items)) : Value::tuple(std::move(items));
}

bool repeats(const Value& value) {
  return value.is_string() || value.is_sequence();
}

Value merge(const Value& a, const Value& b) {
  std::vector<DictObject::Entry> entries = a.dict_object().entries();
  const auto& more = b.dict_object().entries();
  entries.insert(entries.end(), more.begin(), more.end());
  return Value::dict(std::make_shared<DictObject>(std::move(entries)));
}

// start, stop, step and count of the elements that a slice takes of `size`.
struct SliceRange {
  Int start, stop, step, count;
};

SliceRange slice_range(Int size, const Value& start, const Value& stop, const Value& step) {
  auto part = [](const Value& value, Int otherwise) {
    if (value.is_none()) return otherwise;
    if (value.is_undefined()) {
      raise(ErrorType::kType, "slice indices must be integers or None");
    }
    return require_int(value);
  };
  Int by = part(step, 1);
  if (by == 0) raise(ErrorType::kValue, "slice step cannot be zero");
  Int low = by > 0 ? 0 : -1;
  Int high = by > 0 ? size : size - 1;
  auto bound = [&](const Value& value, Int otherwise) {
    Int index = part(value, otherwise);
    if (value.is_none()) return index;
    return std::clamp(index < 0 ? index + size : index, low, high);
  };
  Int first = bound(start, by > 0 ? low : high);
  Int last = bound(stop, by > 0 ? high : low);
  RangeObject range;
  range.start = first;
  range.stop = last;
  range.step = by;
  return {first, last, by, range.size()};
}

Value slice_string(const Value& object, const SliceRange& range) {
  const StringObject& string = object.string_object();
  if (string.ascii && range.step == 1) {
    return Value::string(
        string.text.substr(static_cast<size_t>(range.start), static_cast<size_t>(range.count)),
        string.markup);
  }
  std::vector<uint32_t> offsets;
  for (size_t i = 0; i < string.text.size(); i += code_point_bytes(string.text, i)) {
    offsets.push_back(static_cast<uint32_t>(i));
  }
  std::string out;
  for (Int i = 0; i < range.count; ++i) {
    size_t at = offsets[static_cast<size_t>(range.start + i * range.step)];
    out.append(string.text, at, code_point_bytes(string.text, at));
  }
  return Value::string(std::move(out), string.markup);
}

}  // namespace

Value binary(Interpreter& interpreter, const std::string& op, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return int_arithmetic(op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return float_arithmetic(op, a.as_double(), b.as_double());
  if (op == "%" && a.is_string()) {
    return Value::string(percent_format(interpreter, a.text(), b, a.is_markup()), a.is_markup());
  }
  if (a.is_undefined()) raise_undefined(a);
  if (b.is_undefined()) raise_undefined(b);
  if (op == "+" && a.is_string() && b.is_string()) return add_strings(interpreter, a, b);
  if (op == "+" && a.is_sequence() && a.kind() == b.kind()) return concatenate(interpreter, a, b);
  if (op == "*" && repeats(a) && b.is_integral()) return repeat(interpreter, a, b.as_int());
  if (op == "*" && a.is_integral() && repeats(b)) return repeat(interpreter, b, a.as_int());
  if (op == "|" && a.is(Kind::kDict) && b.is(Kind::kDict)) return merge(a, b);
  raise(ErrorType::kType, "unsupported operand type(s) for {}: '{}' and '{}'", op, type_name(a),
        type_name(b));
}

Value negate(const Value& value, bool negative) {
  if (value.is_undefined()) raise_undefined(value);
  if (value.is_integral()) return Value::integer(negative ? -value.as_int() : value.as_int());
  if (value.is(Kind::kFloat)) return Value::real(negative ? -value.as_double() : value.as_double());
  raise(ErrorType::kType, "bad operand type for unary {}: '{}'", negative ? '-' : '+',
        type_name(value));
}

Value slice(Interpreter& interpreter, const Value& object, const Value& start, const Value& stop,
            const Value& step) {
  if (object.is_undefined()) raise_undefined(object);
  if (!object.is_string() && !object.is_sequence() && !object.is(Kind::kRange)) {
    raise(ErrorType::kType, "'{}' object is not subscriptable by slices", type_name(object));
  }
  SliceRange range = slice_range(length_of(object), start, stop, step);
  if (object.is_string()) {
    interpreter.charge_bytes(object.text().size());
    return slice_string(object, range);
  }
  interpreter.charge_steps(static_cast<uint64_t>(range.count));
  if (object.is(Kind::kRange)) {
    auto sliced = std::make_shared<RangeObject>();
    const RangeObject& whole = object.range();
    sliced->start = whole.start + range.start * whole.step;
    sliced->step = whole.step * range.step;
    sliced->stop = whole.start + range.stop * whole.step;
    return Value::object(Kind::kRange, sliced);
  }
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(range.count));
  for (Int i = 0; i < range.count; ++i) {
    items.push_back(object.items()[static_cast<size_t>(range.start + i * range.step)]);
  }
  return object.is(Kind::kList) ? Value::list(std::move(items)) : Value::tuple(std::move(items));
}

}  // namespace mica::jinja

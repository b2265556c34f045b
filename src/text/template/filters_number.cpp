// Filters that make numbers or texts of numbers.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "text/template/arguments.h"
#include "text/template/interpreter.h"
#include "text/template/unicode.h"

namespace mica::jinja {
namespace {

// White space and single underscores between digits removed; nothing for a bad underscore.
std::optional<std::string> clean_number(const std::string& text) {
  std::string_view stripped = strip(text, nullptr, true, true);
  std::string out;
  for (size_t i = 0; i < stripped.size(); ++i) {
    if (stripped[i] != '_') {
      out += stripped[i];
      continue;
    }
    auto is_digit = [&](size_t at) {
      return at < stripped.size() && std::isxdigit(static_cast<unsigned char>(stripped[at]));
    };
    if (i == 0 || !is_digit(i - 1) || !is_digit(i + 1)) return std::nullopt;
  }
  return out;
}

std::optional<Int> parse_int(const std::string& source, int base) {
  auto cleaned = clean_number(source);
  if (!cleaned || cleaned->empty()) return std::nullopt;
  const std::string& text = *cleaned;
  size_t i = text[0] == '-' || text[0] == '+' ? 1 : 0;
  if (text.size() > i + 1 && text[i] == '0') {
    char kind = static_cast<char>(text[i + 1] | 32);
    int prefix = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    if (prefix && (base == prefix || base == 0)) {
      base = prefix;
      i += 2;
    } else if (base == 0 && text.find_first_not_of('0', i) != std::string::npos) {
      return std::nullopt;
    }
  }
  if (base == 0) base = 10;
  if (i >= text.size()) return std::nullopt;
  Int value = 0;
  for (; i < text.size(); ++i) {
    char c = text[i];
    int digit = c >= '0' && c <= '9'                          ? c - '0'
                : std::isalpha(static_cast<unsigned char>(c)) ? (c | 32) - 'a' + 10
                                                              : 99;
    if (digit >= base) return std::nullopt;
    value = value * base + digit;
    if (value > Int{1} << 120) raise(ErrorType::kOverflow, "an integer beyond the supported range");
  }
  return text[0] == '-' ? -value : value;
}

std::optional<double> parse_float(const std::string& source) {
  auto cleaned = clean_number(source);
  if (!cleaned || cleaned->empty()) return std::nullopt;
  std::string lower = to_lower(*cleaned);
  std::string_view body = lower;
  if (body.front() == '-' || body.front() == '+') body.remove_prefix(1);
  bool is_named = body == "inf" || body == "infinity" || body == "nan";
  if (!is_named && (body.find_first_not_of("0123456789.e+-") != std::string_view::npos ||
                    body.find_first_of("0123456789") == std::string_view::npos)) {
    return std::nullopt;
  }
  char* end = nullptr;
  double value = std::strtod(lower.c_str(), &end);
  if (*end) return std::nullopt;
  return value;
}

std::optional<Int> truncate_to_int(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  if (std::fabs(value) > 1e36) raise(ErrorType::kOverflow, "an integer beyond the supported range");
  return static_cast<Int>(value);
}

Value to_int(Interpreter&, const Value& input, const Arguments& arguments) {
  Bound bound = bind("int", arguments, {"default", "base"}, 0);
  Value otherwise = bound.has(0) ? bound[0] : Value::integer(0);
  std::optional<Int> result;
  if (input.is_undefined()) raise_undefined(input);
  if (input.is_string()) {
    Int base = !bound.has(1) ? 10 : bound[1].is_integral() ? bound[1].as_int() : -1;
    if (base == 0 || (base >= 2 && base <= 36)) {
      result = parse_int(input.text(), static_cast<int>(base));
    }
    if (!result) {
      if (auto real = parse_float(input.text())) result = truncate_to_int(*real);
    }
  } else if (input.is_integral()) {
    result = input.as_int();
  } else if (input.is(Kind::kFloat)) {
    if (std::isinf(input.as_double())) {
      raise(ErrorType::kOverflow, "cannot convert float infinity to integer");
    }
    result = truncate_to_int(input.as_double());
  }
  return result ? Value::integer(*result) : otherwise;
}

Value to_float(Interpreter&, const Value& input, const Arguments& arguments) {
  Bound bound = bind("float", arguments, {"default"}, 0);
  if (input.is_undefined()) raise_undefined(input);
  if (input.is_number()) return Value::real(input.as_double());
  if (input.is_string()) {
    if (auto value = parse_float(input.text())) return Value::real(*value);
  }
  return bound.has(0) ? bound[0] : Value::real(0.0);
}

Value absolute(Interpreter&, const Value& input, const Arguments& arguments) {
  bind("abs", arguments, {}, 0);
  if (input.is_integral()) {
    return Value::integer(input.as_int() < 0 ? -input.as_int() : input.as_int());
  }
  if (input.is(Kind::kFloat)) return Value::real(std::fabs(input.as_double()));
  raise(ErrorType::kType, "bad operand type for abs(): '{}'", type_name(input));
}

Int round_int(Int value, Int digits) {
  if (digits >= 0) return value;
  if (digits < -35) return 0;
  Int unit = 1;
  for (Int i = digits; i < 0; ++i) unit *= 10;
  Int rest = ((value % unit) + unit) % unit;
  Int low = value - rest;
  bool up = rest * 2 > unit || (rest * 2 == unit && (low / unit) % 2 != 0);
  return up ? low + unit : low;
}

double round_float(double value, Int digits) {
  if (!std::isfinite(value) || digits > 300) return value;
  if (digits < -308) return std::copysign(0.0, value);
  // The decimal expansion is exact, so this rounds the true value, half to even.
  if (digits >= 0) {
    return std::strtod(fmt::format("{:.{}f}", value, static_cast<int>(digits)).c_str(), nullptr);
  }
  double unit = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(value / unit) * unit;
}

Value round(Interpreter&, const Value& input, const Arguments& arguments) {
  Bound bound = bind("round", arguments, {"precision", "method"}, 0);
  Value method = bound.has(1) ? bound[1] : Value::string("common");
  std::string name = method.is_string() ? method.text() : "";
  if (name != "common" && name != "ceil" && name != "floor") {
    raise(ErrorType::kValue, "method must be common, ceil or floor");
  }
  if (input.is_undefined()) raise_undefined(input);
  if (!input.is_number()) {
    raise(ErrorType::kType, "type {} doesn't define __round__ method", type_name(input));
  }
  if (name == "common") {
    if (bound.has(0) && bound[0].is_none()) {  // round(x, None) gives an integer
      if (input.is_integral()) return Value::integer(input.as_int());
      return Value::integer(truncate_to_int(std::nearbyint(input.as_double())).value_or(0));
    }
    Int digits = bound.integer(0, 0);
    if (input.is_integral()) return Value::integer(round_int(input.as_int(), digits));
    return Value::real(round_float(input.as_double(), digits));
  }
  Int digits = bound.integer(0, 0);
  double scale = std::pow(10.0, static_cast<double>(std::clamp<Int>(digits, -300, 300)));
  double scaled = input.as_double() * scale;
  if (!std::isfinite(scaled)) raise(ErrorType::kOverflow, "the number can't be rounded");
  double whole = name == "ceil" ? std::ceil(scaled) : std::floor(scaled);
  return Value::real((whole + 0.0) / scale);  // of an integer in Python: no negative zero
}

Value filesizeformat(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("filesizeformat", arguments, {"binary"}, 0);
  double bytes = to_float(interpreter, input, {}).as_double();
  if (input.is_string() ? !parse_float(input.text()) : !input.is_number()) {
    raise(ErrorType::kValue, "could not convert to float");
  }
  bool binary = bound.flag(0, false);
  double base = binary ? 1024 : 1000;
  if (bytes == 1) return Value::string("1 Byte");
  if (bytes < base) return Value::string(fmt::format("{} Bytes", static_cast<int64_t>(bytes)));
  double unit = base;
  std::string prefix;
  for (char letter : std::string_view("KMGTPEZY")) {
    unit *= base;
    prefix =
        binary ? std::string(1, letter) + "iB" : std::string(1, letter == 'K' ? 'k' : letter) + "B";
    if (bytes < unit) break;
  }
  return Value::string(fmt::format("{:.1f} {}", base * bytes / unit, prefix));
}

constexpr FilterEntry kFilters[] = {
    {"int", to_int},
    {"float", to_float},
    {"abs", absolute},
    {"round", round},
    {"filesizeformat", filesizeformat},
};

}  // namespace

Value number_from_text(const std::string& text, bool is_float) {
  if (is_float) {
    if (auto value = parse_float(text)) return Value::real(*value);
  } else if (auto value = parse_int(text, 10)) {
    return Value::integer(*value);
  }
  raise(ErrorType::kValue, "could not convert {} to a number", string_repr(text));
}

FilterBody find_number_filter(std::string_view name) {
  for (const FilterEntry& entry : kFilters) {
    if (entry.name == name) return entry.body;
  }
  return nullptr;
}

}  // namespace mica::jinja

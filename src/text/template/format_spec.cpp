#include "text/template/format_spec.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "text/template/unicode.h"

namespace mica::jinja {
namespace {

constexpr int kMaxPrecision = 5000;

bool is_one_of(char c, std::string_view set) {
  return c != 0 && set.find(c) != std::string_view::npos;
}

std::string print_float(const char* format, int precision, double value) {
  std::string text(static_cast<size_t>(std::snprintf(nullptr, 0, format, precision, value)), ' ');
  std::snprintf(text.data(), text.size() + 1, format, precision, value);
  return text;
}

// Zeros behind the decimal point are cut, and a point that ends the text.
std::string without_zeros(std::string digits) {
  if (digits.find('.') == std::string::npos) return digits;
  digits.resize(digits.find_last_not_of('0') + 1);
  if (digits.back() == '.') digits.pop_back();
  return digits;
}

// No type, but a precision: like 'g', with a digit behind the point and an exponent one digit
// earlier.
std::string general_digits(double magnitude, int precision, bool alternate) {
  std::string text = print_float("%.*e", precision - 1, magnitude);
  const size_t e = text.find('e');
  const int exponent = std::atoi(text.c_str() + e + 1);
  if (exponent < -4 || exponent >= precision - 1) {
    std::string mantissa = text.substr(0, e);
    if (!alternate) mantissa = without_zeros(mantissa);
    if (alternate && precision == 1) mantissa += '.';
    return mantissa + text.substr(e);
  }
  std::string digits = print_float("%.*f", precision - 1 - exponent, magnitude);
  if (alternate) return digits;
  digits = without_zeros(digits);
  return digits.find('.') == std::string::npos ? digits + ".0" : digits;
}

std::string float_digits(double magnitude, const FormatSpec& spec) {
  if (!std::isfinite(magnitude)) {
    std::string text = std::isnan(magnitude) ? "nan" : "inf";
    if (is_one_of(spec.type, "FEG")) text = to_upper(text);
    return spec.type == '%' ? text + "%" : text;
  }
  if (spec.type == 0 && spec.precision < 0) {
    std::string digits = float_repr(magnitude);
    const size_t e = digits.find('e');
    const bool bare = spec.alternate && e != std::string::npos && digits.find('.') > e;
    return bare ? digits.insert(e, ".") : digits;
  }
  const int precision = spec.precision < 0 ? 6 : spec.precision;
  if (precision > kMaxPrecision) raise(ErrorType::kLimit, "a precision of {}", precision);
  if (spec.type == 0) return general_digits(magnitude, std::max(precision, 1), spec.alternate);
  const bool percent = spec.type == '%';
  const char type = percent ? 'f' : spec.type == 'n' ? 'g' : spec.type;
  const std::string format = std::string(spec.alternate ? "%#.*" : "%.*") + type;
  std::string digits =
      print_float(format.c_str(), precision, percent ? magnitude * 100 : magnitude);
  return percent ? digits + "%" : digits;
}

// The digits in front of the point in groups, with zeros in front up to `width` characters.
std::string group_digits(const std::string& digits, const FormatSpec& spec, int width) {
  if (!spec.grouping) return digits;
  const char* set = is_one_of(spec.type, "xX") ? "0123456789abcdefABCDEF" : "0123456789";
  const size_t whole = std::min(digits.find_first_not_of(set), digits.size());
  if (whole == 0) return digits;  // inf, nan
  const int size = is_one_of(spec.type, "boxX") ? 4 : 3;
  int left = static_cast<int>(whole);
  int missing = width - static_cast<int>(digits.size() - whole);
  std::string reversed;
  while (true) {
    const int take = std::min(size, std::max({left, missing, 1}));
    for (int i = 0; i < take; ++i) {
      reversed += left > 0 ? digits[static_cast<size_t>(--left)] : '0';
    }
    missing -= take;
    if (left <= 0 && missing <= 0) break;
    reversed += spec.grouping;
    --missing;
  }
  return std::string(reversed.rbegin(), reversed.rend()) + digits.substr(whole);
}

// What a number has in front of its digits.
std::string sign_of(bool negative, const FormatSpec& spec) {
  if (negative) return "-";
  return is_one_of(spec.sign, "+ ") ? std::string(1, spec.sign) : "";
}

std::string group_and_pad(bool negative, const std::string& prefix, const std::string& digits,
                          const FormatSpec& spec) {
  const bool fills = spec.fill == "0" && spec.align == '=';
  const int used = static_cast<int>(sign_of(negative, spec).size() + prefix.size());
  return pad_number(negative, prefix, group_digits(digits, spec, fills ? spec.width - used : 0),
                    spec);
}

std::string format_character(Int value, const FormatSpec& spec) {
  if (spec.sign) raise(ErrorType::kValue, "Sign not allowed with integer format specifier 'c'");
  if (spec.alternate) raise(ErrorType::kValue, "'#' not allowed with integer format specifier 'c'");
  if (value < 0 || value > 0x10FFFF) {
    raise(ErrorType::kOverflow, "%c arg not in range(0x110000)");
  }
  std::string text;
  append_utf8(text, static_cast<char32_t>(value));
  return pad(text, spec, spec.align && spec.align != '=' ? spec.align : '>');
}

std::string format_int(Int value, const FormatSpec& spec) {
  if (is_one_of(spec.type, "eEfFgG%")) return format_float(static_cast<double>(value), spec);
  if (spec.precision >= 0) raise(ErrorType::kValue, "Precision not allowed in integer format");
  if (spec.no_negative_zero) raise(ErrorType::kValue, "'z' not allowed in integer format");
  if (spec.type == 'c') return format_character(value, spec);
  if (spec.type && !is_one_of(spec.type, "dnxXob")) {
    raise(ErrorType::kValue, "Unknown format code '{}' for an integer", spec.type);
  }
  const int base = is_one_of(spec.type, "xX") ? 16
                   : spec.type == 'o'         ? 8
                   : spec.type == 'b'         ? 2
                                              : 10;
  std::string prefix;
  if (spec.alternate && base != 10) prefix = std::string("0") + spec.type;
  return group_and_pad(value < 0, prefix,
                       digits_of(value < 0 ? -value : value, base, spec.type == 'X'), spec);
}

std::string format_string(const std::string& text, const FormatSpec& spec) {
  if (spec.type && spec.type != 's') {
    raise(ErrorType::kValue, "Unknown format code '{}' for a string", spec.type);
  }
  if (spec.sign || spec.alternate || spec.no_negative_zero || spec.grouping || spec.align == '=') {
    raise(ErrorType::kValue, "a sign, '#', 'z', ',', '_' or '=' is not allowed for a string");
  }
  return pad(cut(text, spec.precision), spec, spec.align ? spec.align : '<');
}

bool is_align(const std::string& text, size_t at) {
  return at < text.size() && is_one_of(text[at], "<>=^");
}

void check_grouping(const FormatSpec& spec) {
  if (!spec.grouping || !spec.type || is_one_of(spec.type, "defgEG%F")) return;
  if (spec.grouping == '_' && is_one_of(spec.type, "boxX")) return;
  raise(ErrorType::kValue, "Cannot specify '{}' with '{}'.", spec.grouping, spec.type);
}

FormatSpec parse_spec(const std::string& text, char default_align) {
  FormatSpec spec;
  size_t i = 0;
  const size_t first = text.empty() ? 0 : code_point_bytes(text, 0);
  const bool has_fill = first && is_align(text, first);
  if (has_fill) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    i = first + 1;
  } else if (is_align(text, 0)) {
    spec.align = text[i++];
  }
  auto next_is = [&](std::string_view set) { return i < text.size() && is_one_of(text[i], set); };
  if (next_is("+- ")) spec.sign = text[i++];
  if (next_is("z")) spec.no_negative_zero = true, ++i;
  if (next_is("#")) spec.alternate = true, ++i;
  if (!has_fill && next_is("0")) {
    spec.fill.assign(1, '0');
    if (!spec.align && default_align == '>') spec.align = '=';
    ++i;
  }
  spec.width = read_number(text, i, kMaxFormatWidth);
  if (next_is(",_")) spec.grouping = text[i++];
  if (next_is(".")) {
    size_t begin = ++i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    spec.precision = 0;
    for (size_t k = begin; k < i; ++k) {
      spec.precision = std::min(spec.precision * 10 + text[k] - '0', kMaxFormatWidth);
    }
    if (i == begin) raise(ErrorType::kValue, "Format specifier missing precision");
  }
  if (i < text.size()) spec.type = text[i++];
  if (i != text.size()) raise(ErrorType::kValue, "Invalid format specifier '{}'", text);
  check_grouping(spec);
  return spec;
}

}  // namespace

std::string pad(const std::string& text, const FormatSpec& spec, char align) {
  int missing = spec.width - static_cast<int>(count_code_points(text));
  if (missing <= 0) return text;
  int left = align == '>' ? missing : align == '^' ? missing / 2 : 0;
  std::string out;
  for (int i = 0; i < left; ++i) out += spec.fill;
  out += text;
  for (int i = left; i < missing; ++i) out += spec.fill;
  return out;
}

std::string pad_number(bool negative, const std::string& prefix, const std::string& digits,
                       const FormatSpec& spec) {
  const std::string sign = sign_of(negative, spec);
  if (spec.align != '=') return pad(sign + prefix + digits, spec, spec.align ? spec.align : '>');
  int used = static_cast<int>(sign.size() + prefix.size() + digits.size());
  std::string middle;
  for (int i = used; i < spec.width; ++i) middle += spec.fill;
  return sign + prefix + middle + digits;
}

std::string digits_of(Int value, int base, bool upper) {
  std::string out;
  do {
    int digit = static_cast<int>(value % base);
    out += static_cast<char>(digit < 10 ? '0' + digit : (upper ? 'A' : 'a') + digit - 10);
    value /= base;
  } while (value);
  std::reverse(out.begin(), out.end());
  return out;
}

std::string format_float(double value, const FormatSpec& spec) {
  const std::string digits = float_digits(std::fabs(value), spec);
  bool negative = std::signbit(value) && !std::isnan(value);
  const std::string mantissa = digits.substr(0, digits.find_first_of("eE"));
  if (spec.no_negative_zero && mantissa.find_first_of("123456789i") == std::string::npos) {
    negative = false;
  }
  return group_and_pad(negative, "", digits, spec);
}

std::string cut(const std::string& text, int code_points) {
  if (code_points < 0) return text;
  size_t end = 0;
  for (int i = 0; i < code_points && end < text.size(); ++i) end += code_point_bytes(text, end);
  return text.substr(0, end);
}

int read_number(const std::string& text, size_t& i, int limit) {
  int number = 0;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
    number = number * 10 + text[i] - '0';
    if (number > limit) raise(ErrorType::kLimit, "a width or precision of {} is too large", number);
  }
  return number;
}

std::string format_value(const Value& value, const std::string& text) {
  if (text.empty()) return to_str(value);
  if (value.is_string()) return format_string(value.text(), parse_spec(text, '<'));
  if (!value.is_number()) {
    raise(ErrorType::kType, "unsupported format string passed to {}.__format__", type_name(value));
  }
  FormatSpec spec = parse_spec(text, '>');
  if (value.is_integral()) return format_int(value.as_int(), spec);
  if (spec.type && !is_one_of(spec.type, "eEfFgGn%")) {
    raise(ErrorType::kValue, "Unknown format code '{}' for a float", spec.type);
  }
  return format_float(value.as_double(), spec);
}

}  // namespace mica::jinja

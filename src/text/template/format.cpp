// Python's two ways to format strings: '%s' % values and '{}'.format(values).
#include <algorithm>
#include <cmath>
#include <optional>

#include "text/template/arguments.h"
#include "text/template/interpreter.h"
#include "text/template/unicode.h"

namespace mica::jinja {
namespace {

constexpr int kMaxWidth = 1 << 20;
constexpr int kMaxPrecision = 500;

struct Spec {
  std::string fill = " ";
  char align = 0;  // < > = ^
  char sign = '-';
  bool alternate = false;
  int width = 0;
  char grouping = 0;
  int precision = -1;
  char type = 0;
};

std::string ascii_repr(const Value& value) {
  std::string out;
  std::string text = to_repr(value);
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    char32_t code = next_code_point(text, i);
    if (code < 0x80) {
      out.append(text, begin, i - begin);
    } else if (code < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(code));
    } else if (code < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(code));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<unsigned>(code));
    }
  }
  return out;
}

std::string pad(const std::string& text, const Spec& spec, char align) {
  int missing = spec.width - static_cast<int>(count_code_points(text));
  if (missing <= 0) return text;
  int left = align == '>' ? missing : align == '^' ? missing / 2 : 0;
  std::string out;
  for (int i = 0; i < left; ++i) out += spec.fill;
  out += text;
  for (int i = left; i < missing; ++i) out += spec.fill;
  return out;
}

// sign and prefix, then padding for '=', then the digits.
std::string pad_number(bool negative, const std::string& prefix, std::string digits,
                       const Spec& spec) {
  std::string sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  if (spec.align != '=') return pad(sign + prefix + digits, spec, spec.align ? spec.align : '>');
  int used = static_cast<int>(sign.size() + prefix.size() + digits.size());
  std::string middle;
  for (int i = used; i < spec.width; ++i) middle += spec.fill;
  return sign + prefix + middle + digits;
}

std::string group_digits(const std::string& digits, char separator) {
  if (!separator) return digits;
  size_t whole = 0;
  while (whole < digits.size() && digits[whole] >= '0' && digits[whole] <= '9') ++whole;
  std::string out;
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % 3 == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(whole);
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

std::string float_digits(double magnitude, const Spec& spec) {
  int precision = std::clamp(spec.precision, -1, kMaxPrecision);
  bool alternate = spec.alternate;
  if (!std::isfinite(magnitude)) {
    std::string text = std::isnan(magnitude) ? "nan" : "inf";
    return spec.type == 'F' || spec.type == 'E' || spec.type == 'G' ? to_upper(text) : text;
  }
  if (precision < 0) precision = 6;
  switch (spec.type) {
    case 'f':
    case 'F':
      return fmt::format(fmt::runtime(alternate ? "{:#.{}f}" : "{:.{}f}"), magnitude, precision);
    case 'e':
      return fmt::format(fmt::runtime(alternate ? "{:#.{}e}" : "{:.{}e}"), magnitude, precision);
    case 'E':
      return fmt::format(fmt::runtime(alternate ? "{:#.{}E}" : "{:.{}E}"), magnitude, precision);
    case 'G':
      return fmt::format(fmt::runtime(alternate ? "{:#.{}G}" : "{:.{}G}"), magnitude,
                         std::max(precision, 1));
    case '%': return fmt::format("{:.{}f}%", magnitude * 100, precision);
    default:
      return fmt::format(fmt::runtime(alternate ? "{:#.{}g}" : "{:.{}g}"), magnitude,
                         std::max(precision, 1));
  }
}

std::string format_float(double value, Spec spec) {
  double magnitude = std::fabs(value);
  std::string digits;
  if (spec.type == 0 && spec.precision < 0) {
    digits = float_repr(magnitude);
  } else {
    digits = float_digits(magnitude, spec);
    bool is_plain = digits.find_first_of(".enia") == std::string::npos;
    if (spec.type == 0 && is_plain) digits += ".0";
  }
  return pad_number(std::signbit(value) && !std::isnan(value), "",
                    group_digits(digits, spec.grouping), spec);
}

std::string format_int(Int value, Spec spec) {
  if (std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos && spec.type) {
    return format_float(static_cast<double>(value), spec);
  }
  if (spec.precision >= 0) raise(ErrorType::kValue, "Precision not allowed in integer format");
  Int magnitude = value < 0 ? -value : value;
  switch (spec.type) {
    case 0:
    case 'n':
    case 'd':
      return pad_number(value < 0, "", group_digits(digits_of(magnitude, 10, false), spec.grouping),
                        spec);
    case 'x':
      return pad_number(value < 0, spec.alternate ? "0x" : "", digits_of(magnitude, 16, false),
                        spec);
    case 'X':
      return pad_number(value < 0, spec.alternate ? "0X" : "", digits_of(magnitude, 16, true),
                        spec);
    case 'o':
      return pad_number(value < 0, spec.alternate ? "0o" : "", digits_of(magnitude, 8, false),
                        spec);
    case 'b':
      return pad_number(value < 0, spec.alternate ? "0b" : "", digits_of(magnitude, 2, false),
                        spec);
    case 'c': {
      if (value < 0 || value > 0x10FFFF)
        raise(ErrorType::kOverflow, "%c arg not in range(0x110000)");
      std::string text;
      append_code_point(text, static_cast<char32_t>(value));
      return pad(text, spec, spec.align ? spec.align : '<');
    }
    default: raise(ErrorType::kValue, "Unknown format code '{}' for an integer", spec.type);
  }
}

std::string cut(const std::string& text, int precision) {
  if (precision < 0) return text;
  size_t end = 0;
  for (int i = 0; i < precision && end < text.size(); ++i) end += code_point_bytes(text, end);
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

Spec parse_spec(const std::string& text) {
  Spec spec;
  size_t i = 0;
  auto is_align = [&](size_t at) {
    return at < text.size() && std::string_view("<>=^").find(text[at]) != std::string_view::npos;
  };
  size_t first = text.empty() ? 0 : code_point_bytes(text, 0);
  if (first && is_align(first)) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    i = first + 1;
  } else if (is_align(0)) {
    spec.align = text[i++];
  }
  auto next_is = [&](char c) { return i < text.size() && text[i] == c; };
  if (next_is('+') || next_is('-') || next_is(' ')) spec.sign = text[i++];
  if (next_is('#')) spec.alternate = true, ++i;
  if (next_is('0')) {
    if (!spec.align) spec.fill = "0", spec.align = '=';
    ++i;
  }
  spec.width = read_number(text, i, kMaxWidth);
  if (next_is(',') || next_is('_')) spec.grouping = text[i++];
  if (next_is('.')) {
    size_t begin = ++i;
    spec.precision = read_number(text, i, kMaxWidth);
    if (i == begin) raise(ErrorType::kValue, "Format specifier missing precision");
  }
  if (i < text.size()) spec.type = text[i++];
  if (i != text.size()) raise(ErrorType::kValue, "Invalid format specifier '{}'", text);
  return spec;
}

std::string format_value(const Value& value, const std::string& text) {
  if (text.empty()) return to_str(value);
  bool formats_as_string = value.is_string();
  if (!value.is_number() && !formats_as_string) {
    raise(ErrorType::kType, "unsupported format string passed to {}.__format__", type_name(value));
  }
  Spec spec = parse_spec(text);
  if (value.is(Kind::kFloat)) {
    if (spec.type && std::string_view("eEfFgGn%").find(spec.type) == std::string_view::npos) {
      raise(ErrorType::kValue, "Unknown format code '{}' for a float", spec.type);
    }
    return format_float(value.as_double(), spec);
  }
  if (value.is_integral()) return format_int(value.as_int(), spec);
  if ((spec.type && spec.type != 's') || spec.align == '=' || spec.sign != '-' || spec.grouping ||
      spec.alternate) {
    raise(ErrorType::kValue, "Unknown format code for a string: '{}'", text);
  }
  return pad(cut(value.text(), spec.precision), spec, spec.align ? spec.align : '<');
}

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& interpreter, const Arguments& arguments)
      : interpreter_(interpreter), arguments_(arguments) {}

  std::string run(const std::string& format, int depth) {
    if (depth > 2) raise(ErrorType::kValue, "Max string recursion exceeded");
    std::string out;
    for (size_t i = 0; i < format.size();) {
      char c = format[i];
      if (c != '{' && c != '}') {
        out += c;
        ++i;
      } else if (i + 1 < format.size() && format[i + 1] == c) {
        out += c;
        i += 2;
      } else if (c == '}') {
        raise(ErrorType::kValue, "Single '}}' encountered in format string");
      } else {
        out += field(format, ++i, depth);
      }
      if (out.size() > kMaxStringBytes) raise(ErrorType::kLimit, "the text is too long");
    }
    return out;
  }

 private:
  // `i` is behind the opening brace, and behind the closing one afterwards.
  std::string field(const std::string& format, size_t& i, int depth) {
    int open = 1;
    size_t begin = i;
    size_t colon = std::string::npos;
    bool in_brackets = false;
    for (; i < format.size(); ++i) {
      char c = format[i];
      if (c == '[' && colon == std::string::npos) in_brackets = true;
      if (c == ']') in_brackets = false;
      if (in_brackets) continue;
      if (c == '{') ++open;
      if (c == '}' && --open == 0) break;
      if (c == ':' && colon == std::string::npos) colon = i;
    }
    if (i >= format.size()) raise(ErrorType::kValue, "expected '}}' before end of string");
    std::string head = format.substr(begin, std::min(colon, i) - begin);
    std::string spec = colon == std::string::npos ? "" : format.substr(colon + 1, i - colon - 1);
    ++i;
    char conversion = 0;
    size_t bang = head.find('!');
    if (bang != std::string::npos) {
      if (bang + 2 != head.size())
        raise(ErrorType::kValue, "expected ':' after conversion specifier");
      conversion = head[bang + 1];
      head.resize(bang);
    }
    Value value = lookup(head);
    if (conversion == 'r') {
      value = Value::string(to_repr(value));
    } else if (conversion == 'a') {
      value = Value::string(ascii_repr(value));
    } else if (conversion == 's') {
      value = Value::string(to_str(value));
    } else if (conversion) {
      raise(ErrorType::kValue, "Unknown conversion specifier {}", conversion);
    }
    return format_value(value, run(spec, depth + 1));
  }

  Value lookup(const std::string& path) {
    size_t end = path.find_first_of(".[");
    Value value = first(path.substr(0, end));
    size_t i = std::min(end, path.size());
    while (i < path.size()) {
      if (path[i] == '.') {
        size_t next = std::min(path.find_first_of(".[", i + 1), path.size());
        if (next == i + 1) raise(ErrorType::kValue, "Empty attribute in format string");
        value = interpreter_.attribute(value, path.substr(i + 1, next - i - 1));
        i = next;
      } else if (path[i] == '[') {
        size_t close = path.find(']', i);
        if (close == std::string::npos) raise(ErrorType::kValue, "Missing ']' in format string");
        value = interpreter_.item(value, key(path.substr(i + 1, close - i - 1)));
        i = close + 1;
      } else {
        raise(ErrorType::kValue, "Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return value;
  }

  static bool is_number(const std::string& text) {
    return !text.empty() && text.size() < 10 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  }

  static Value key(const std::string& text) {
    if (text.empty()) raise(ErrorType::kValue, "Empty attribute in format string");
    return is_number(text) ? Value::integer(std::stoi(text)) : Value::string(text);
  }

  Value first(const std::string& name) {
    size_t index;
    if (name.empty()) {
      if (manual_) raise(ErrorType::kValue, "cannot switch from manual to automatic numbering");
      automatic_ = true;
      index = next_++;
    } else if (is_number(name)) {
      if (automatic_) raise(ErrorType::kValue, "cannot switch from automatic to manual numbering");
      manual_ = true;
      index = static_cast<size_t>(std::stoi(name));
    } else {
      for (const auto& [key, value] : arguments_.named) {
        if (key == name) return value;
      }
      raise(ErrorType::kLookup, "KeyError: '{}'", name);
    }
    if (index >= arguments_.positional.size()) {
      raise(ErrorType::kLookup, "Replacement index {} out of range for positional args", index);
    }
    return arguments_.positional[index];
  }

  Interpreter& interpreter_;
  const Arguments& arguments_;
  size_t next_ = 0;
  bool automatic_ = false, manual_ = false;
};

// One conversion of a % format.
struct Conversion {
  Spec spec;
  bool left = false, zero = false;
  std::optional<std::string> key;
};

class PercentFormatter {
 public:
  PercentFormatter(const std::string& format, const Value& values)
      : format_(format), values_(values) {
    if (values.is(Kind::kTuple)) {
      items_ = values.items();
    } else {
      items_ = {values};
    }
  }

  std::string run() {
    std::string out;
    while (i_ < format_.size()) {
      if (format_[i_] != '%') {
        out += format_[i_++];
        continue;
      }
      ++i_;
      out += convert();
      if (out.size() > kMaxStringBytes) raise(ErrorType::kLimit, "the text is too long");
    }
    // Python takes everything with items, but tuples and strings, for a mapping.
    bool unused_is_fine = values_.is(Kind::kDict) || values_.is(Kind::kList) ||
                          values_.is(Kind::kRange) || values_.is_undefined();
    if (next_ < items_.size() && !unused_is_fine) {
      raise(ErrorType::kType, "not all arguments converted during string formatting");
    }
    return out;
  }

 private:
  char peek() const {
    if (i_ >= format_.size()) raise(ErrorType::kValue, "incomplete format");
    return format_[i_];
  }

  const Value& next_item() {
    if (next_ >= items_.size()) raise(ErrorType::kType, "not enough arguments for format string");
    return items_[next_++];
  }

  int number() {
    if (peek() != '*') return read_number(format_, i_, kMaxWidth);
    ++i_;
    Int value = require_int(next_item());
    if (value > kMaxWidth || value < -kMaxWidth) raise(ErrorType::kLimit, "the width is too large");
    return static_cast<int>(value);
  }

  std::string convert() {
    Conversion c;
    if (peek() == '(') {
      size_t close = format_.find(')', i_);
      if (close == std::string::npos) raise(ErrorType::kValue, "incomplete format key");
      c.key = format_.substr(i_ + 1, close - i_ - 1);
      i_ = close + 1;
    }
    for (; std::string_view("#0- +").find(peek()) != std::string_view::npos; ++i_) {
      if (peek() == '#') c.spec.alternate = true;
      if (peek() == '0') c.zero = true;
      if (peek() == '-') c.left = true;
      if (peek() == '+' || (peek() == ' ' && c.spec.sign != '+')) c.spec.sign = peek();
    }
    c.spec.width = number();
    if (c.spec.width < 0) c.left = true, c.spec.width = -c.spec.width;
    if (peek() == '.') {
      ++i_;
      c.spec.precision = std::max(number(), 0);
    }
    while (peek() == 'h' || peek() == 'l' || peek() == 'L') ++i_;
    c.spec.type = peek();
    ++i_;
    if (c.spec.type == '%') return "%";
    return apply(c, value_of(c));
  }

  Value value_of(const Conversion& c) {
    if (!c.key) return next_item();
    if (!values_.is(Kind::kDict)) raise(ErrorType::kType, "format requires a mapping");
    const Value* found = values_.dict_object().find(std::string_view(*c.key));
    if (!found) raise(ErrorType::kLookup, "KeyError: '{}'", *c.key);
    return *found;
  }

  static std::string apply(Conversion& c, const Value& value) {
    Spec& spec = c.spec;
    spec.align = c.left ? '<' : '>';
    switch (spec.type) {
      case 's': return pad(cut(to_str(value), spec.precision), spec, spec.align);
      case 'r': return pad(cut(to_repr(value), spec.precision), spec, spec.align);
      case 'a': return pad(cut(ascii_repr(value), spec.precision), spec, spec.align);
      case 'c':
        if (value.is_string() && count_code_points(value.text()) == 1) {
          return pad(value.text(), spec, spec.align);
        }
        return format_int(require_int(value), [&] {
          Spec s = spec;
          s.precision = -1;
          return s;
        }());
      default: break;
    }
    if (c.zero && !c.left) spec.fill = "0", spec.align = '=';
    if (std::string_view("eEfFgG").find(spec.type) != std::string_view::npos) {
      if (!value.is_number()) raise_not_number(value, "must be real number");
      return format_float(value.as_double(), spec);
    }
    if (std::string_view("diuxXo").find(spec.type) == std::string_view::npos) {
      raise(ErrorType::kValue, "unsupported format character '{}'", spec.type);
    }
    return integer(spec, value);
  }

  [[noreturn]] static void raise_not_number(const Value& value, const char* what) {
    if (value.is_undefined()) raise_undefined(value);
    raise(ErrorType::kType, "{}, not {}", what, type_name(value));
  }

  static std::string integer(Spec spec, const Value& value) {
    bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    if (!value.is_number() || (!decimal && !value.is_integral())) {
      raise_not_number(value, "a number is required");
    }
    double real = value.as_double();
    if (value.is(Kind::kFloat) && !(std::fabs(real) < 1e30)) {
      raise(ErrorType::kOverflow, "cannot convert this float to an integer");
    }
    Int number = value.is_integral() ? value.as_int() : static_cast<Int>(real);
    Int magnitude = number < 0 ? -number : number;
    int base = decimal ? 10 : spec.type == 'o' ? 8 : 16;
    std::string digits = digits_of(magnitude, base, spec.type == 'X');
    if (spec.precision > static_cast<int>(digits.size())) {
      digits.insert(0, static_cast<size_t>(spec.precision) - digits.size(), '0');
    }
    std::string prefix;
    if (spec.alternate && !decimal) prefix = std::string("0") + spec.type;
    return pad_number(number < 0, prefix, digits, spec);
  }

  const std::string& format_;
  const Value& values_;
  std::vector<Value> items_;
  size_t i_ = 0;
  size_t next_ = 0;
};

}  // namespace

std::string percent_format(Interpreter& interpreter, const std::string& format,
                           const Value& values) {
  std::string out = PercentFormatter(format, values).run();
  interpreter.charge_bytes(format.size() + out.size());
  return out;
}

std::string brace_format(Interpreter& interpreter, const std::string& format,
                         const Arguments& arguments) {
  std::string out = BraceFormatter(interpreter, arguments).run(format, 0);
  interpreter.charge_bytes(format.size() + out.size());
  return out;
}

}  // namespace mica::jinja

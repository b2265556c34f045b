// Python's two ways to format strings: '%s' % values and '{}'.format(values).
#include <algorithm>
#include <cmath>
#include <optional>

#include "text/template/arguments.h"
#include "text/template/format_spec.h"
#include "text/template/interpreter.h"
#include "text/template/unicode.h"

namespace mica::jinja {
namespace {

std::string ascii_escape(const std::string& text) {
  std::string out;
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

std::string character(Int code) {
  if (code < 0 || code > 0x10FFFF) raise(ErrorType::kOverflow, "%c arg not in range(0x110000)");
  std::string text;
  append_utf8(text, static_cast<char32_t>(code));
  return text;
}

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& interpreter, const Arguments& arguments, bool escapes)
      : interpreter_(interpreter), arguments_(arguments), escapes_(escapes) {}

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
      value = Value::string(ascii_escape(to_repr(value)));
    } else if (conversion == 's') {
      value = Value::string(to_str(value));
    } else if (conversion) {
      raise(ErrorType::kValue, "Unknown conversion specifier {}", conversion);
    }
    return show(value, run(spec, depth + 1));
  }

  std::string show(const Value& value, const std::string& spec) const {
    if (!escapes_) return format_value(value, spec);
    if (!value.is_markup()) return html_escape(format_value(value, spec));
    if (!spec.empty()) raise(ErrorType::kValue, "Unsupported format specification for Markup.");
    return value.text();
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
  const bool escapes_;
  size_t next_ = 0;
  bool automatic_ = false, manual_ = false;
};

// One conversion of a % format.
struct Conversion {
  FormatSpec spec;
  bool left = false, zero = false;
  std::optional<std::string> key;
};

class PercentFormatter {
 public:
  PercentFormatter(const std::string& format, const Value& values, bool escapes)
      : format_(format), values_(values), escapes_(escapes) {
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
    if (peek() != '*') return read_number(format_, i_, kMaxFormatWidth);
    ++i_;
    if (escapes_) raise(ErrorType::kType, "* wants int");
    Int value = require_int(next_item());
    if (value > kMaxFormatWidth || value < -kMaxFormatWidth)
      raise(ErrorType::kLimit, "the width is too large");
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
    const Value value = value_of(c);
    return apply(c, escapes_ ? escaped(c.spec.type, value) : value);
  }

  // What Markup makes of a value before it is formatted: safe texts and plain numbers.
  static Value escaped(char type, const Value& value) {
    auto as_text = [](const std::string& text) { return Value::string(html_escape(text)); };
    switch (type) {
      case 's': return value.is_markup() ? value : as_text(to_str(value));
      case 'r':
      case 'a': return as_text(to_repr(value));
      case 'x':
      case 'X':
      case 'o':
      case 'c': raise(ErrorType::kType, "an integer is required");
      default: break;
    }
    if (!value.is_string()) return value;
    const bool is_float = std::string_view("eEfFgG").find(type) != std::string_view::npos;
    return number_from_text(value.text(), is_float);
  }

  Value value_of(const Conversion& c) {
    if (!c.key) return next_item();
    if (!values_.is(Kind::kDict)) raise(ErrorType::kType, "format requires a mapping");
    const Value* found = values_.dict_object().find(std::string_view(*c.key));
    if (!found) raise(ErrorType::kLookup, "KeyError: '{}'", *c.key);
    return *found;
  }

  std::string apply(Conversion& c, const Value& value) const {
    FormatSpec& spec = c.spec;
    spec.align = c.left ? '<' : '>';
    switch (spec.type) {
      case 's': return pad(cut(to_str(value), spec.precision), spec, spec.align);
      case 'r':
      case 'a': {
        std::string text = escapes_ ? value.text() : to_repr(value);
        if (spec.type == 'a') text = ascii_escape(text);
        return pad(cut(text, spec.precision), spec, spec.align);
      }
      case 'c':
        if (value.is_string() && count_code_points(value.text()) == 1) {
          return pad(value.text(), spec, spec.align);
        }
        return pad(character(require_int(value)), spec, spec.align);
      default: break;
    }
    if (c.zero && !c.left) spec.fill.assign(1, '0'), spec.align = '=';
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

  static std::string integer(FormatSpec spec, const Value& value) {
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
  const bool escapes_;
  std::vector<Value> items_;
  size_t i_ = 0;
  size_t next_ = 0;
};

}  // namespace

std::string percent_format(Interpreter& interpreter, const std::string& format, const Value& values,
                           bool escapes) {
  std::string out = PercentFormatter(format, values, escapes).run();
  interpreter.charge_bytes(format.size() + out.size());
  return out;
}

std::string brace_format(Interpreter& interpreter, const std::string& format,
                         const Arguments& arguments, bool escapes) {
  std::string out = BraceFormatter(interpreter, arguments, escapes).run(format, 0);
  interpreter.charge_bytes(format.size() + out.size());
  return out;
}

}  // namespace mica::jinja

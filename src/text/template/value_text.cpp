// str(), repr() and json.dumps() of values.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "text/template/unicode.h"
#include "text/template/value.h"

namespace mica::jinja {
namespace {

constexpr int kMaxReprDepth = 300;  // namespaces may contain themselves

void check_size(const std::string& out) {
  if (out.size() > kMaxStringBytes)
    raise(ErrorType::kLimit, "a text of more than {} bytes", kMaxStringBytes);
}

void append_repr(std::string& out, const Value& value, int depth);

template <typename Items, typename Append>
void append_joined(std::string& out, const Items& items, const char* open, const char* close,
                   Append append) {
  out += open;
  bool first = true;
  for (const auto& item : items) {
    if (!first) out += ", ";
    first = false;
    append(item);
    check_size(out);
  }
  out += close;
}

void append_dict(std::string& out, const DictObject& dict, int depth) {
  append_joined(out, dict.entries(), "{", "}", [&](const DictObject::Entry& entry) {
    append_repr(out, entry.first, depth);
    out += ": ";
    append_repr(out, entry.second, depth);
  });
}

void append_view(std::string& out, const DictViewObject& view, int depth) {
  const char* names[] = {"dict_keys([", "dict_values([", "dict_items(["};
  size_t index = 0;
  append_joined(out, view.dict.dict_object().entries(), names[static_cast<int>(view.part)], "])",
                [&](const DictObject::Entry&) { append_repr(out, view.at(index++), depth); });
}

void append_range(std::string& out, const RangeObject& range) {
  out += "range(" + int_to_string(range.start) + ", " + int_to_string(range.stop);
  if (range.step != 1) out += ", " + int_to_string(range.step);
  out += ")";
}

void append_namespace(std::string& out, const NamespaceObject& space, int depth) {
  append_joined(out, space.attributes, "<Namespace {", "}>", [&](const auto& attribute) {
    out += string_repr(attribute.first) + ": ";
    append_repr(out, attribute.second, depth);
  });
}

void append_repr(std::string& out, const Value& value, int depth) {
  if (depth > kMaxReprDepth) raise(ErrorType::kLimit, "values are nested too deeply to be printed");
  ++depth;
  auto each = [&](const Value& item) { append_repr(out, item, depth); };
  switch (value.kind()) {
    case Kind::kUndefined: out += "Undefined"; break;
    case Kind::kNone: out += "None"; break;
    case Kind::kBool: out += value.as_bool() ? "True" : "False"; break;
    case Kind::kInt: out += int_to_string(value.as_int()); break;
    case Kind::kFloat: out += float_repr(value.as_double()); break;
    case Kind::kString:
      out += value.is_markup() ? "Markup(" + string_repr(value.text()) + ")"
                               : string_repr(value.text());
      break;
    case Kind::kList: append_joined(out, value.items(), "[", "]", each); break;
    case Kind::kTuple:
      append_joined(out, value.items(), "(", value.items().size() == 1 ? ",)" : ")", each);
      break;
    case Kind::kDict: append_dict(out, value.dict_object(), depth); break;
    case Kind::kRange: append_range(out, value.range()); break;
    case Kind::kDictView:
      append_view(out, static_cast<const DictViewObject&>(*value.pointer()), depth);
      break;
    case Kind::kIterator: out += "<" + value.iterator().name + " object>"; break;
    case Kind::kNamespace:
      append_namespace(out, static_cast<const NamespaceObject&>(*value.pointer()), depth);
      break;
    case Kind::kObject: out += value.callable_object().repr(); break;
  }
  check_size(out);
}

void append_json_string(std::string& out, std::string_view text, bool ensure_ascii) {
  auto append_unit = [&](unsigned unit) { out += fmt::format("\\u{:04x}", unit); };
  out += '"';
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    char32_t code = next_code_point(text, i);
    switch (code) {
      case '"': out += "\\\""; continue;
      case '\\': out += "\\\\"; continue;
      case '\n': out += "\\n"; continue;
      case '\r': out += "\\r"; continue;
      case '\t': out += "\\t"; continue;
      case '\b': out += "\\b"; continue;
      case '\f': out += "\\f"; continue;
      default: break;
    }
    if (code < 0x20 || (ensure_ascii && code >= 0x7F && code < 0x10000)) {
      append_unit(static_cast<unsigned>(code));
    } else if (ensure_ascii && code >= 0x10000) {
      append_unit(0xD800 + ((static_cast<unsigned>(code) - 0x10000) >> 10));
      append_unit(0xDC00 + ((static_cast<unsigned>(code) - 0x10000) & 0x3FF));
    } else {
      out += text.substr(begin, i - begin);
    }
  }
  out += '"';
}

class JsonWriter {
 public:
  JsonWriter(std::string& out, const JsonOptions& options) : out_(out), options_(options) {}

  void write(const Value& value, int level) {
    switch (value.kind()) {
      case Kind::kNone: out_ += "null"; break;
      case Kind::kBool: out_ += value.as_bool() ? "true" : "false"; break;
      case Kind::kInt: out_ += int_to_string(value.as_int()); break;
      case Kind::kFloat: out_ += json_float(value.as_double()); break;
      case Kind::kString: append_json_string(out_, value.text(), options_.ensure_ascii); break;
      case Kind::kList:
      case Kind::kTuple: write_list(value.items(), level); break;
      case Kind::kDict: write_dict(value.dict_object(), level); break;
      default:
        raise(ErrorType::kType, "Object of type {} is not JSON serializable", type_name(value));
    }
    check_size(out_);
  }

 private:
  static std::string json_float(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return float_repr(value);
  }

  void line(int level) {
    if (!options_.has_indent) return;
    out_ += '\n';
    for (int i = 0; i < level; ++i) out_ += options_.indent;
    check_size(out_);
  }

  void write_list(const std::vector<Value>& items, int level) {
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i) out_ += options_.item_separator;
      line(level + 1);
      write(items[i], level + 1);
    }
    if (!items.empty()) line(level);
    out_ += ']';
  }

  void write_dict(const DictObject& dict, int level) {
    std::vector<const DictObject::Entry*> entries;
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (options_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
        return compare(a->first, b->first, Order::kLess);
      });
    }
    out_ += '{';
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i) out_ += options_.item_separator;
      line(level + 1);
      append_json_string(out_, key_text(entries[i]->first), options_.ensure_ascii);
      out_ += options_.key_separator;
      write(entries[i]->second, level + 1);
    }
    if (!entries.empty()) line(level);
    out_ += '}';
  }

  static std::string key_text(const Value& key) {
    switch (key.kind()) {
      case Kind::kString: return key.text();
      case Kind::kNone: return "null";
      case Kind::kBool: return key.as_bool() ? "true" : "false";
      case Kind::kInt: return int_to_string(key.as_int());
      case Kind::kFloat: return json_float(key.as_double());
      default:
        raise(ErrorType::kType, "keys must be str, int, float, bool or None, not {}",
              type_name(key));
    }
  }

  std::string& out_;
  const JsonOptions& options_;
};

}  // namespace

std::string int_to_string(Int value) {
  return fmt::format("{}", value);
}

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 64> buffer;
  auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                           std::chars_format::scientific)
                 .ptr;
  std::string_view text(buffer.data(), static_cast<size_t>(end - buffer.data()));
  size_t e = text.find('e');
  int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  std::string digits;
  for (char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  std::string sign = text.front() == '-' ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    std::string mantissa = digits.substr(0, 1);
    if (digits.size() > 1) mantissa += "." + digits.substr(1);
    return fmt::format("{}{}e{}{:02}", sign, mantissa, exponent < 0 ? '-' : '+',
                       std::abs(exponent));
  }
  if (exponent < 0)
    return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0') + ".0";
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string string_repr(std::string_view text) {
  bool has_single = text.find('\'') != std::string_view::npos;
  char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    char32_t code = next_code_point(text, i);
    if (code == static_cast<char32_t>(quote) || code == '\\') {
      out += '\\';
      out += static_cast<char>(code);
    } else if (code == '\n') {
      out += "\\n";
    } else if (code == '\r') {
      out += "\\r";
    } else if (code == '\t') {
      out += "\\t";
    } else if (is_printable(code)) {
      out += text.substr(begin, i - begin);
    } else if (code < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(code));
    } else if (code < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(code));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<unsigned>(code));
    }
  }
  return out + quote;
}

std::string to_repr(const Value& value) {
  std::string out;
  append_repr(out, value, 0);
  return out;
}

std::string to_str(const Value& value) {
  if (value.is_string()) return value.text();
  if (value.is_undefined()) return "";
  return to_repr(value);
}

std::string to_json(const Value& value, const JsonOptions& options) {
  std::string out;
  JsonWriter(out, options).write(value, 0);
  return out;
}

std::string html_escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace mica::jinja

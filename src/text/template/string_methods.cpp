// Python's str methods that make, search and cut texts.
#include <algorithm>
#include <functional>

#include "text/template/arguments.h"
#include "text/template/interpreter.h"
#include "text/template/unicode.h"

namespace mica::jinja {
namespace {

constexpr auto npos = std::string::npos;

Value like(const Value& self, std::string text) {
  return Value::string(std::move(text), self.is_markup());
}

// An argument of a Markup method joins escaped.
std::string part(const Value& self, const Value& argument) {
  if (!self.is_markup() || argument.is_markup()) return require_string(argument);
  return html_escape(to_str(argument));
}

Value convert(Interpreter& interpreter, const Value& self, const Arguments& arguments,
              const char* name, const std::function<std::string(const std::string&)>& body) {
  bind(name, arguments, {}, 0);
  interpreter.charge_bytes(self.text().size());
  return like(self, body(self.text()));
}

std::string capitalize(const std::string& text) {
  std::string out;
  size_t i = 0;
  if (!text.empty()) append_title(out, next_code_point(text, i));
  while (i < text.size()) {
    size_t begin = i;
    char32_t code = next_code_point(text, i);
    append_lower_in(out, text, begin, i, code);
  }
  return out;
}

std::string title(const std::string& text) {
  std::string out;
  bool in_word = false;
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    char32_t code = next_code_point(text, i);
    if (in_word) {
      append_lower_in(out, text, begin, i, code);
    } else {
      append_title(out, code);
    }
    in_word = is_cased(code);
  }
  return out;
}

std::string swapcase(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    char32_t code = next_code_point(text, i);
    if (is_upper(code)) {
      append_lower_in(out, text, begin, i, code);
    } else if (is_lower(code)) {
      append_upper(out, code);
    } else {
      append_utf8(out, code);
    }
  }
  return out;
}

template <bool left, bool right>
Value strip_method(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Bound bound = bind("strip", arguments, {""}, 0);
  interpreter.charge_bytes(self.text().size());
  const std::string* chars = bound[0].is_none() ? nullptr : &require_string(bound[0]);
  return like(self, std::string(strip(self.text(), chars, left, right)));
}

// The byte offsets of [start, end) given in code points, as arguments i and i + 1. False when
// the start lies behind the end of the text.
bool byte_range(const Value& self, const Bound& bound, size_t i, size_t& begin, size_t& end) {
  const StringObject& string = self.string_object();
  begin = 0;
  end = string.text.size();
  if (bound[i].is_none() && bound[i + 1].is_none()) return true;
  Int size = length_of(self);
  auto index = [&](const Value& value, Int otherwise) {
    if (value.is_none()) return otherwise;
    Int position = require_int(value);
    return position < 0 ? std::max<Int>(position + size, 0) : position;
  };
  Int first = index(bound[i], 0);
  Int last = std::min(index(bound[i + 1], size), size);
  if (first > size || first > last) return false;
  auto offset = [&](Int position) {
    if (string.ascii) return static_cast<size_t>(position);
    size_t at = 0;
    for (Int k = 0; k < position; ++k) at += code_point_bytes(string.text, at);
    return at;
  };
  begin = offset(first);
  end = offset(last);
  return true;
}

Int find_in(Interpreter& interpreter, const Value& self, const Arguments& arguments,
            const char* name, bool last) {
  Bound bound = bind(name, arguments, {"", "", ""}, 1);
  const std::string& wanted = require_string(bound[0]);
  interpreter.charge_bytes(self.text().size());
  size_t begin, end;
  if (!byte_range(self, bound, 1, begin, end)) return -1;
  std::string_view text = std::string_view(self.text()).substr(begin, end - begin);
  size_t found = last ? text.rfind(wanted) : text.find(wanted);
  if (found == npos) return -1;
  return static_cast<Int>(
      count_code_points(std::string_view(self.text()).substr(0, begin + found)));
}

template <bool last>
Value find_method(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return Value::integer(find_in(interpreter, self, arguments, "find", last));
}

template <bool last>
Value index_method(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Int found = find_in(interpreter, self, arguments, "index", last);
  if (found < 0) raise(ErrorType::kValue, "substring not found");
  return Value::integer(found);
}

Value count(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Bound bound = bind("count", arguments, {"", "", ""}, 1);
  const std::string& wanted = require_string(bound[0]);
  interpreter.charge_bytes(self.text().size());
  size_t begin, end;
  if (!byte_range(self, bound, 1, begin, end)) return Value::integer(0);
  std::string_view text = std::string_view(self.text()).substr(begin, end - begin);
  if (wanted.empty()) return Value::integer(static_cast<Int>(count_code_points(text)) + 1);
  Int number = 0;
  for (size_t at = 0; (at = text.find(wanted, at)) != npos; at += wanted.size()) ++number;
  return Value::integer(number);
}

template <bool at_end>
Value affix_method(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Bound bound = bind(at_end ? "endswith" : "startswith", arguments, {"", "", ""}, 1);
  interpreter.charge_steps(1);
  size_t begin, end;
  bool in_range = byte_range(self, bound, 1, begin, end);
  std::string_view text = in_range ? std::string_view(self.text()).substr(begin, end - begin) : "";
  auto matches = [&](const Value& value) {
    if (!value.is_string()) {
      raise(ErrorType::kType, "expected a string or a tuple of strings, not {}", type_name(value));
    }
    return in_range && (at_end ? text.ends_with(value.text()) : text.starts_with(value.text()));
  };
  if (!bound[0].is(Kind::kTuple)) return Value::boolean(matches(bound[0]));
  for (const Value& value : bound[0].items()) {
    if (matches(value)) return Value::boolean(true);
  }
  return Value::boolean(false);
}

Value replace(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Bound bound = bind("replace", arguments, {"", "", ""}, 2);
  const std::string& text = self.text();
  const std::string& old = require_string(bound[0]);
  std::string by = part(self, bound[1]);
  Int left = bound.integer(2, -1);
  std::string out;
  size_t at = 0;
  interpreter.charge_bytes(text.size());
  auto add = [&](std::string_view more) {
    out += more;
    if (out.size() > kMaxStringBytes) raise(ErrorType::kLimit, "the text is too long");
  };
  while (left-- != 0) {
    size_t found = text.find(old, at);
    if (found == npos) break;
    if (!old.empty()) {
      add(std::string_view(text).substr(at, found - at));
      add(by);
      at = found + old.size();
      continue;
    }
    add(by);  // between all characters, and at both ends
    if (at >= text.size()) break;
    size_t bytes = code_point_bytes(text, at);
    add(std::string_view(text).substr(at, bytes));
    at += bytes;
  }
  add(std::string_view(text).substr(std::min(at, text.size())));
  interpreter.charge_bytes(out.size());
  return like(self, std::move(out));
}

// Pieces between runs of white space, at most `limit` cuts (-1: all).
std::vector<std::string_view> split_space(std::string_view text, Int limit, bool from_right) {
  std::vector<std::string_view> out;
  text = strip(text, nullptr, !from_right, from_right);
  while (!text.empty() && limit-- != 0) {
    size_t i = from_right ? text.size() : 0;
    while (from_right ? i > 0 : i < text.size()) {
      size_t next = from_right ? previous_code_point(text, i) : i;
      size_t at = next;
      if (is_space(next_code_point(text, at))) break;
      i = from_right ? next : at;
    }
    out.push_back(from_right ? text.substr(i) : text.substr(0, i));
    text = from_right ? text.substr(0, i) : text.substr(i);
    text = strip(text, nullptr, !from_right, from_right);
  }
  if (!text.empty()) out.push_back(text);
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string_view> split_by(std::string_view text, const std::string& separator,
                                       Int limit, bool from_right) {
  std::vector<std::string_view> out;
  while (limit-- != 0) {
    size_t found = from_right ? text.rfind(separator) : text.find(separator);
    if (found == npos) break;
    std::string_view before = text.substr(0, found);
    std::string_view after = text.substr(found + separator.size());
    out.push_back(from_right ? after : before);
    text = from_right ? before : after;
  }
  out.push_back(text);
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

template <bool from_right>
Value split_method(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Bound bound = bind("split", arguments, {"sep", "maxsplit"}, 0);
  interpreter.charge_bytes(self.text().size());
  Int limit = bound.integer(1, -1);
  std::vector<std::string_view> parts;
  if (bound[0].is_none()) {
    parts = split_space(self.text(), limit, from_right);
  } else {
    if (require_string(bound[0]).empty()) raise(ErrorType::kValue, "empty separator");
    parts = split_by(self.text(), bound[0].text(), limit, from_right);
  }
  std::vector<Value> items;
  for (std::string_view piece : parts) items.push_back(like(self, std::string(piece)));
  interpreter.charge_steps(items.size());
  return Value::list(std::move(items));
}

template <bool from_right>
Value partition_method(Interpreter&, const Value& self, const Arguments& arguments) {
  Bound bound = bind("partition", arguments, {""}, 1);
  const std::string& separator = require_string(bound[0]);
  if (separator.empty()) raise(ErrorType::kValue, "empty separator");
  const std::string& text = self.text();
  size_t found = from_right ? text.rfind(separator) : text.find(separator);
  if (found == npos) {
    Value empty = like(self, "");
    return from_right ? Value::tuple({empty, empty, self}) : Value::tuple({self, empty, empty});
  }
  return Value::tuple({like(self, text.substr(0, found)), like(self, separator),
                       like(self, text.substr(found + separator.size()))});
}

Value splitlines(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Bound bound = bind("splitlines", arguments, {"keepends"}, 0);
  interpreter.charge_bytes(self.text().size());
  std::vector<Value> items;
  for (std::string& line : split_lines(self.text(), bound.integer(0, 0) != 0)) {
    items.push_back(like(self, std::move(line)));
  }
  return Value::list(std::move(items));
}

Value join(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Bound bound = bind("join", arguments, {""}, 1);
  if (bound[0].is_undefined()) return like(self, "");
  std::string out;
  bool first = true;
  for (const Value& item : to_vector(interpreter, bound[0])) {
    if (!item.is_string() && !self.is_markup()) {
      raise(ErrorType::kType, "sequence item: expected str instance, {} found", type_name(item));
    }
    if (!first) out += self.text();
    first = false;
    out += part(self, item);
    if (out.size() > kMaxStringBytes) raise(ErrorType::kLimit, "the text is too long");
  }
  interpreter.charge_bytes(out.size());
  return like(self, std::move(out));
}

enum class Align { kLeft, kRight, kCenter };

template <Align align>
Value pad_method(Interpreter&, const Value& self, const Arguments& arguments) {
  Bound bound = bind("justify", arguments, {"", ""}, 1);
  std::string fill = bound.has(1) ? part(self, bound[1]) : " ";
  if (count_code_points(fill) != 1) {
    raise(ErrorType::kType, "The fill character must be exactly one character long");
  }
  Int pad = require_int(bound[0]) - length_of(self);
  if (pad <= 0) return self;
  if (pad > static_cast<Int>(kMaxStringBytes)) raise(ErrorType::kLimit, "the text is too long");
  Int width = require_int(bound[0]);
  Int left = align == Align::kLeft ? 0 : align == Align::kRight ? pad : pad / 2 + (pad & width & 1);
  std::string out;
  for (Int i = 0; i < left; ++i) out += fill;
  out += self.text();
  for (Int i = left; i < pad; ++i) out += fill;
  return like(self, std::move(out));
}

Value zfill(Interpreter&, const Value& self, const Arguments& arguments) {
  Bound bound = bind("zfill", arguments, {""}, 1);
  Int pad = require_int(bound[0]) - length_of(self);
  if (pad <= 0) return self;
  if (pad > static_cast<Int>(kMaxStringBytes)) raise(ErrorType::kLimit, "the text is too long");
  const std::string& text = self.text();
  size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  return like(
      self, text.substr(0, sign) + std::string(static_cast<size_t>(pad), '0') + text.substr(sign));
}

Value expandtabs(Interpreter&, const Value& self, const Arguments& arguments) {
  Bound bound = bind("expandtabs", arguments, {"tabsize"}, 0);
  Int size = std::clamp<Int>(bound.integer(0, 8), 0, 1000);
  std::string out;
  Int column = 0;
  for (size_t i = 0; i < self.text().size();) {
    size_t begin = i;
    char32_t code = next_code_point(self.text(), i);
    if (code == '\t') {
      Int spaces = size > 0 ? size - column % size : 0;
      out.append(static_cast<size_t>(spaces), ' ');
      column += spaces;
    } else {
      out.append(self.text(), begin, i - begin);
      column = code == '\n' || code == '\r' ? 0 : column + 1;
    }
    if (out.size() > kMaxStringBytes) raise(ErrorType::kLimit, "the text is too long");
  }
  return like(self, std::move(out));
}

template <bool at_end>
Value remove_affix(Interpreter&, const Value& self, const Arguments& arguments) {
  Bound bound = bind("removeprefix", arguments, {""}, 1);
  const std::string& text = self.text();
  const std::string& affix = require_string(bound[0]);
  bool matches = at_end ? text.ends_with(affix) : text.starts_with(affix);
  if (!matches) return self;
  return like(self,
              at_end ? text.substr(0, text.size() - affix.size()) : text.substr(affix.size()));
}

Value format(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return like(self, brace_format(interpreter, self.text(), arguments, self.is_markup()));
}

Value format_map(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Bound bound = bind("format_map", arguments, {""}, 1);
  Arguments named;
  if (bound[0].is(Kind::kDict)) {
    for (const auto& [key, value] : bound[0].dict_object().entries()) {
      if (key.is_string()) named.named.emplace_back(key.text(), value);
    }
  }
  return like(self, brace_format(interpreter, self.text(), named, self.is_markup()));
}

template <std::string (*body)(const std::string&)>
Value converted(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return convert(interpreter, self, arguments, "convert", body);
}
std::string lower_text(const std::string& text) {
  return to_lower(text);
}
std::string folded_text(const std::string& text) {
  return fold_case(text);
}
std::string upper_text(const std::string& text) {
  return to_upper(text);
}

constexpr MethodEntry kMethods[] = {
    {"strip", strip_method<true, true>},
    {"lstrip", strip_method<true, false>},
    {"rstrip", strip_method<false, true>},
    {"split", split_method<false>},
    {"rsplit", split_method<true>},
    {"splitlines", splitlines},
    {"partition", partition_method<false>},
    {"rpartition", partition_method<true>},
    {"startswith", affix_method<false>},
    {"endswith", affix_method<true>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"replace", replace},
    {"join", join},
    {"find", find_method<false>},
    {"rfind", find_method<true>},
    {"index", index_method<false>},
    {"rindex", index_method<true>},
    {"count", count},
    {"lower", converted<lower_text>},
    {"casefold", converted<folded_text>},
    {"upper", converted<upper_text>},
    {"capitalize", converted<capitalize>},
    {"title", converted<title>},
    {"swapcase", converted<swapcase>},
    {"ljust", pad_method<Align::kLeft>},
    {"rjust", pad_method<Align::kRight>},
    {"center", pad_method<Align::kCenter>},
    {"zfill", zfill},
    {"expandtabs", expandtabs},
    {"format", format},
    {"format_map", format_map},
};

}  // namespace

MethodBody find_string_method(std::string_view name) {
  for (const MethodEntry& entry : kMethods) {
    if (entry.name == name) return entry.body;
  }
  return find_string_predicate(name);
}

std::vector<std::string> split_lines(const std::string& text, bool keep_ends) {
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    size_t at = i;
    char32_t code = next_code_point(text, i);
    bool is_break = (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) ||
                    code == 0x85 || code == 0x2028 || code == 0x2029;
    if (!is_break) continue;
    if (code == '\r' && i < text.size() && text[i] == '\n') ++i;
    lines.push_back(text.substr(begin, (keep_ends ? i : at) - begin));
    begin = i;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

}  // namespace mica::jinja

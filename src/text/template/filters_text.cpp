// Filters that make text.
#include <algorithm>
#include <array>

#include "text/template/arguments.h"
#include "text/template/interpreter.h"
#include "text/template/unicode.h"

namespace mica::jinja {
namespace {

// soft_str: the text, Markup kept.
Value soft(const Value& value) {
  return value.is_string() ? value : Value::string(to_str(value));
}

// Calls a str method on the text of `input`.
Value method(Interpreter& interpreter, const Value& input, const char* name,
             const Arguments& arguments) {
  return find_string_method(name)(interpreter, soft(input), arguments);
}

template <const char* const& name>
Value by_method(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  bind(name, arguments, {}, 0);
  return method(interpreter, input, name, arguments);
}
const char* const kLower = "lower";
const char* const kUpper = "upper";
const char* const kCapitalize = "capitalize";

Value title(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  bind("title", arguments, {}, 0);
  std::string out;
  bool at_start = true;
  std::string text = to_str(input);
  interpreter.charge_bytes(text.size());
  std::string rest;
  auto flush = [&] {
    out += to_lower(rest);
    rest.clear();
  };
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    char32_t code = next_code_point(text, i);
    bool separates =
        is_space(code) || (code < 0x80 && std::string_view("-({[<").find(static_cast<char>(code)) !=
                                              std::string_view::npos);
    if (separates || at_start) {
      flush();
      if (separates) {
        out.append(text, begin, i - begin);
      } else {
        append_upper(out, code);
      }
      at_start = separates;
    } else {
      rest.append(text, begin, i - begin);
    }
  }
  flush();
  return Value::string(std::move(out));
}

Value center(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("center", arguments, {"width"}, 0);
  Arguments width;
  width.positional.push_back(bound.has(0) ? bound[0] : Value::integer(80));
  return method(interpreter, input, "center", width);
}

Value trim(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("trim", arguments, {"chars"}, 0);
  Arguments chars;
  if (bound.has(0)) chars.positional.push_back(bound[0]);
  return method(interpreter, input, "strip", chars);
}

Value replace(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("replace", arguments, {"old", "new", "count"}, 2);
  Arguments plain;
  plain.positional = {Value::string(to_str(bound[0])), Value::string(to_str(bound[1]))};
  if (bound.has(2) && !bound[2].is_none()) plain.positional.push_back(bound[2]);
  return find_string_method("replace")(interpreter, Value::string(to_str(input)), plain);
}

Value format(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  if (!arguments.named.empty() && !arguments.positional.empty()) {
    raise(ErrorType::kValue, "format can't mix positional and keyword arguments");
  }
  Value values = Value::tuple(arguments.positional);
  if (!arguments.named.empty()) {
    std::vector<DictObject::Entry> entries;
    for (const auto& [name, value] : arguments.named) {
      entries.emplace_back(Value::string(name), value);
    }
    values = Value::dict(std::make_shared<DictObject>(std::move(entries)));
  }
  return Value::string(percent_format(interpreter, to_str(input), values, input.is_markup()),
                       input.is_markup());
}

Value to_string(Interpreter&, const Value& input, const Arguments& arguments) {
  bind("string", arguments, {}, 0);
  return soft(input);
}

Value safe(Interpreter&, const Value& input, const Arguments& arguments) {
  bind("safe", arguments, {}, 0);
  return Value::string(to_str(input), true);
}

Value escape(Interpreter&, const Value& input, const Arguments& arguments) {
  bind("escape", arguments, {}, 0);
  return input.is_markup() ? input : Value::string(html_escape(to_str(input)), true);
}

Value force_escape(Interpreter&, const Value& input, const Arguments& arguments) {
  bind("forceescape", arguments, {}, 0);
  return Value::string(html_escape(to_str(input)), true);
}

Value indent(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("indent", arguments, {"width", "first", "blank"}, 0);
  std::string by = "    ";
  if (bound.has(0)) {
    by = bound[0].is_string()
             ? bound[0].text()
             : std::string(static_cast<size_t>(std::clamp<Int>(require_int(bound[0]), 0, 1 << 20)),
                           ' ');
  }
  if (input.is_undefined()) raise_undefined(input);
  bool blank = bound.flag(2, false);
  std::string out = bound.flag(1, false) ? by : "";
  bool first = true;
  for (const std::string& line : split_lines(require_string(input) + "\n", false)) {
    if (!first) {
      out += '\n';
      if (blank || !line.empty()) out += by;
    }
    first = false;
    out += line;
    if (out.size() > kMaxStringBytes) raise(ErrorType::kLimit, "the text is too long");
  }
  interpreter.charge_bytes(out.size());
  return Value::string(std::move(out), input.is_markup());
}

Value truncate(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("truncate", arguments, {"length", "killwords", "end", "leeway"}, 0);
  Int length = bound.integer(0, 255);
  Value end = bound.has(2) ? bound[2] : Value::string("...");
  Int leeway = bound.has(3) && !bound[3].is_none() ? require_int(bound[3]) : 5;
  if (length < length_of(end) || leeway < 0) raise(ErrorType::kRuntime, "truncate: bad length");
  if (length_of(input) <= length + leeway) return input;
  Value kept = slice(interpreter, input, Value(), Value::integer(length - length_of(end)), Value());
  std::string text = require_string(kept);
  if (!bound.flag(1, false)) text = text.substr(0, text.rfind(' '));
  return Value::string(text + require_string(end), input.is_markup());
}

Value wordcount(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  bind("wordcount", arguments, {}, 0);
  std::string text = to_str(input);
  interpreter.charge_bytes(text.size());
  Int count = 0;
  bool inside = false;
  for (size_t i = 0; i < text.size();) {
    char32_t code = next_code_point(text, i);
    bool is_word = is_alpha(code) || is_numeric(code) || code == '_';
    count += is_word && !inside;
    inside = is_word;
  }
  return Value::integer(count);
}

Value wordwrap(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("wordwrap", arguments,
                     {"width", "break_long_words", "wrapstring", "break_on_hyphens"}, 0);
  if (input.is_string() && input.text().empty()) return Value::string("");
  Int width = bound.integer(0, 79);
  if (width <= 0) raise(ErrorType::kValue, "invalid width (must be > 0)");
  std::string joint = bound.has(2) && !bound[2].is_none() ? require_string(bound[2]) : "\n";
  if (input.is_undefined()) raise_undefined(input);
  interpreter.charge_bytes(require_string(input).size() * 4);
  std::string out;
  bool first = true;
  for (const std::string& line : split_lines(input.text(), false)) {
    std::vector<std::string> wrapped = wrap_line(line, static_cast<size_t>(clamp_index(width)),
                                                 bound.flag(1, true), bound.flag(3, true));
    if (wrapped.empty()) wrapped.push_back("");
    for (const std::string& piece : wrapped) {
      if (!first) out += joint;
      first = false;
      out += piece;
      if (out.size() > kMaxStringBytes) raise(ErrorType::kLimit, "the text is too long");
    }
  }
  return Value::string(std::move(out));
}

std::string url_quote(const std::string& text, bool query) {
  std::string out;
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 std::string_view("_.-~").find(c) != std::string_view::npos || (c == '/' && !query);
    if (plain) {
      out += c;
    } else if (c == ' ' && query) {
      out += '+';
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

Value urlencode(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  bind("urlencode", arguments, {}, 0);
  if (input.is_string() || !is_iterable(input)) {
    return Value::string(url_quote(to_str(input), false));
  }
  std::vector<Value> pairs;
  if (input.is(Kind::kDict)) {
    for (const auto& [key, value] : input.dict_object().entries()) {
      pairs.push_back(Value::tuple({key, value}));
    }
  } else {
    pairs = to_vector(interpreter, input);
  }
  std::string out;
  for (const Value& pair : pairs) {
    std::vector<Value> parts = to_vector(interpreter, pair);
    if (parts.size() != 2) raise(ErrorType::kValue, "urlencode needs pairs");
    if (!out.empty()) out += '&';
    out += url_quote(to_str(parts[0]), true) + "=" + url_quote(to_str(parts[1]), true);
    if (out.size() > kMaxStringBytes) raise(ErrorType::kLimit, "the text is too long");
  }
  return Value::string(std::move(out));
}

std::string unescape_html(const std::string& text) {
  static constexpr std::pair<std::string_view, std::string_view> kEntities[] = {
      {"&lt;", "<"},  {"&gt;", ">"},  {"&quot;", "\""},    {"&#34;", "\""},
      {"&#39;", "'"}, {"&amp;", "&"}, {"&nbsp;", "\u00A0"}};
  std::string out;
  for (size_t i = 0; i < text.size();) {
    bool found = false;
    for (const auto& [entity, plain] : kEntities) {
      if (text.compare(i, entity.size(), entity) != 0) continue;
      out += plain;
      i += entity.size();
      found = true;
      break;
    }
    if (!found) out += text[i++];
  }
  return out;
}

Value striptags(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  bind("striptags", arguments, {}, 0);
  std::string text = to_str(input);
  interpreter.charge_bytes(text.size() * 2);
  auto remove_between = [&](const std::string& open, const std::string& close) {
    std::string out;
    size_t at = 0;
    while (true) {
      size_t begin = text.find(open, at);
      size_t end = begin == std::string::npos ? begin : text.find(close, begin);
      if (end == std::string::npos) break;
      out.append(text, at, begin - at);
      at = end + close.size();
    }
    text = out + text.substr(at);
  };
  remove_between("<!--", "-->");
  remove_between("<", ">");
  std::string out;
  Value words = find_string_method("split")(interpreter, Value::string(text), {});
  for (const Value& word : words.items()) {
    if (!out.empty()) out += ' ';
    out += word.text();
  }
  return Value::string(unescape_html(out));
}

Value xmlattr(Interpreter&, const Value& input, const Arguments& arguments) {
  Bound bound = bind("xmlattr", arguments, {"autospace"}, 0);
  if (input.is_undefined()) raise_undefined(input);
  if (!input.is(Kind::kDict)) raise(ErrorType::kType, "xmlattr needs a mapping");
  std::string out;
  for (const auto& [key, value] : input.dict_object().entries()) {
    if (value.is_none() || value.is_undefined()) continue;
    if (require_string(key).find_first_of(" \t\n\r\f\v/>=") != std::string::npos) {
      raise(ErrorType::kValue, "Invalid character in attribute name: {}", to_repr(key));
    }
    if (!out.empty()) out += ' ';
    std::string text = to_str(value);
    out += html_escape(key.text()) + "=\"" + (value.is_markup() ? text : html_escape(text)) + "\"";
  }
  if (bound.flag(0, true) && !out.empty()) out.insert(0, " ");
  return Value::string(std::move(out));
}

Value pprint(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  bind("pprint", arguments, {}, 0);
  std::string text = pretty(input);
  interpreter.charge_bytes(text.size() * 4);
  return Value::string(std::move(text));
}

// transformers' own tojson.
Value tojson(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  JsonOptions options;
  options.ensure_ascii = bound.flag(0, false);
  options.sort_keys = bound.flag(3, false);
  if (bound.has(1) && !bound[1].is_none()) {
    options.has_indent = true;
    options.item_separator = ",";
    options.indent =
        bound[1].is_string()
            ? bound[1].text()
            : std::string(static_cast<size_t>(std::clamp<Int>(require_int(bound[1]), 0, 1000)),
                          ' ');
  }
  if (bound.has(2) && !bound[2].is_none()) {
    std::vector<Value> pair = to_vector(interpreter, bound[2]);
    if (pair.size() != 2) raise(ErrorType::kValue, "separators must be a pair");
    options.item_separator = require_string(pair[0]);
    options.key_separator = require_string(pair[1]);
  }
  std::string text = to_json(input, options);
  interpreter.charge_bytes(text.size());
  return Value::string(std::move(text));
}

constexpr FilterEntry kFilters[] = {
    {"lower", by_method<kLower>},
    {"upper", by_method<kUpper>},
    {"capitalize", by_method<kCapitalize>},
    {"title", title},
    {"center", center},
    {"trim", trim},
    {"replace", replace},
    {"format", format},
    {"string", to_string},
    {"safe", safe},
    {"e", escape},
    {"escape", escape},
    {"forceescape", force_escape},
    {"indent", indent},
    {"truncate", truncate},
    {"wordcount", wordcount},
    {"wordwrap", wordwrap},
    {"urlencode", urlencode},
    {"striptags", striptags},
    {"xmlattr", xmlattr},
    {"pprint", pprint},
    {"tojson", tojson},
};

}  // namespace

FilterBody find_text_filter(std::string_view name) {
  for (const FilterEntry& entry : kFilters) {
    if (entry.name == name) return entry.body;
  }
  return nullptr;
}

}  // namespace mica::jinja

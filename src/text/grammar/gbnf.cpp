#include "text/grammar/gbnf.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "text/grammar/json_schema.h"
#include "text/grammar/regex.h"

namespace mica::grammar {
namespace {

constexpr int kMaxNesting = 200;
constexpr size_t kMaxText = size_t{8} << 20;

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class Parser {
 public:
  Parser(std::string_view text, const GbnfContext& context)
      : text_(text), context_(context), json_(grammar_, context.any_whitespace) {
    grammar_.source = "[gbnf]";
  }

  Grammar run() {
    if (text_.size() > kMaxText) fail("a grammar of more than 8 MiB");
    skip_space();
    while (at_ < text_.size()) parse_rule();
    for (const Rule& rule : grammar_.rules)
      if (rule.body == kEmptyEdge)
        throw Error(ErrorKind::kUsage, "[gbnf] rule '{}' is used and not defined", rule.name);
    const auto root = names_.find("root");
    if (root == names_.end())
      throw Error(ErrorKind::kUsage, "[gbnf] expected a rule 'root', with which the text begins");
    grammar_.root = root->second;
    return std::move(grammar_);
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    const auto here = text_.begin() + static_cast<ptrdiff_t>(std::min(at_, text_.size()));
    std::string_view near = text_.substr(std::min(at_, text_.size()), 30);
    near = near.substr(0, near.find('\n'));
    throw Error(ErrorKind::kUsage, "[gbnf] line {}: {}, near '{}'",
                1 + std::count(text_.begin(), here, '\n'), message, near);
  }
  bool is(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  bool skip(std::string_view what) { return is(what) && (at_ += what.size(), true); }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() {
    for (; at_ < text_.size(); at_++) {
      if (text_[at_] == '#')
        while (at_ < text_.size() && text_[at_] != '\n') at_++;
      if (at_ == text_.size() || std::string_view(" \t\r\n").find(text_[at_]) == std::string::npos)
        return;
    }
  }

  std::string parse_name() {
    const size_t from = at_;
    while (is_name(peek())) at_++;
    if (at_ == from) fail("expected the name of a rule");
    return std::string(text_.substr(from, at_ - from));
  }

  // A name with ::= behind it begins the next rule.
  bool at_rule() {
    const size_t from = at_;
    while (is_name(peek())) at_++;
    const bool named = at_ > from;
    skip_space();
    const bool out = named && is("::=");
    at_ = from;
    return out;
  }

  int32_t rule(const std::string& name) {
    const auto it = names_.find(name);
    if (it != names_.end()) return it->second;
    return names_[name] = grammar_.add_rule(name);
  }

  void parse_rule() {
    const size_t from = at_;
    const std::string name = parse_name();
    skip_space();
    if (!skip("::=")) fail("expected '::=' behind the name '" + name + "'");
    const int32_t id = rule(name);
    if (grammar_.rules[static_cast<size_t>(id)].body != kEmptyEdge) {
      at_ = from;
      fail("rule '" + name + "' is defined twice");
    }
    const ExprId body = parse_choice(0);
    grammar_.rules[static_cast<size_t>(id)].body = body;
    if (skip(";")) skip_space();
    if (at_ < text_.size() && !at_rule()) fail("expected a rule, an alternative or the end");
  }

  ExprId parse_choice(int depth) {
    if (depth > kMaxNesting) fail("groups are nested too deeply");
    std::vector<ExprId> out;
    do {
      skip_space();
      out.push_back(parse_sequence(depth));
    } while (skip("|"));
    return grammar_.choice(std::move(out));
  }

  ExprId parse_sequence(int depth) {
    std::vector<ExprId> out;
    while (at_ < text_.size() && !is("|") && !is(")") && !is(";")) {
      if (is_name(peek()) && at_rule()) break;
      out.push_back(parse_repeats(parse_atom(depth)));
      skip_space();
    }
    return grammar_.sequence(std::move(out));
  }

  ExprId parse_atom(int depth) {
    if (skip("(")) {
      const ExprId out = parse_choice(depth + 1);
      if (!skip(")")) fail("expected ')'");
      return out;
    }
    if (is("\"") || is("'")) return grammar_.bytes(parse_string());
    if (skip("[")) return grammar_.one_of(parse_class());
    if (skip(".")) return grammar_.one_of(CodePoints::all());
    if (skip("%json_schema")) return parse_schema();
    if (skip("%json_object")) return json_.any_object();
    if (skip("%regex")) {
      skip_space();
      return parse_regex(grammar_, parse_string(), false, "[gbnf] %regex");
    }
    if (skip("%token")) {
      skip_space();
      return token(parse_string());
    }
    if (is("!")) fail("negated tokens are not supported");
    if (skip("<[")) return parse_token_id();
    if (skip("<")) {
      const size_t end = text_.find('>', at_);
      if (end == std::string_view::npos) fail("expected '>' behind the text of a token");
      const std::string name(text_.substr(at_ - 1, end + 2 - at_));
      at_ = end + 1;
      return token(name);
    }
    if (is_name(peek())) return grammar_.call(rule(parse_name()));
    fail("expected a literal, a class, a group or a rule");
  }

  ExprId parse_repeats(ExprId atom) {
    for (;;) {
      skip_space();
      int32_t min = 0, max = kNoMaximum;
      if (skip("*")) {
      } else if (skip("+")) {
        min = 1;
      } else if (skip("?")) {
        max = 1;
      } else if (skip("{")) {
        parse_braces(min, max);
      } else {
        return atom;
      }
      atom = grammar_.repeat(atom, min, max);
    }
  }

  void parse_braces(int32_t& min, int32_t& max) {
    skip_space();
    const bool has_min = peek() != ',';
    min = has_min ? parse_count() : 0;
    max = min;
    skip_space();
    if (skip(",")) {
      skip_space();
      max = peek() == '}' ? kNoMaximum : parse_count();
      skip_space();
    }
    if (!skip("}")) fail("expected '}'");
    if (max != kNoMaximum && max < min) fail("a repetition whose maximum is below its minimum");
  }

  int32_t parse_count() {
    int64_t value = 0;
    const size_t from = at_;
    for (; peek() >= '0' && peek() <= '9'; at_++)
      value = std::min<int64_t>(value * 10 + (peek() - '0'), int64_t{1} << 40);
    if (at_ == from) fail("expected a number");
    if (value > kMaxRepeat)
      fail(fmt::format("a repetition of more than {} times is not supported", kMaxRepeat));
    return static_cast<int32_t>(value);
  }

  uint32_t parse_hex(int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; i++, at_++) {
      const char c = peek(), lower = static_cast<char>(c | 32);
      if (c >= '0' && c <= '9')
        value = value * 16 + static_cast<uint32_t>(c - '0');
      else if (lower >= 'a' && lower <= 'f')
        value = value * 16 + static_cast<uint32_t>(lower - 'a' + 10);
      else
        fail("expected hexadecimal digits");
    }
    return value;
  }

  // One character of a literal or class.
  uint32_t parse_character() {
    if (at_ == text_.size()) fail("a literal or class without its end");
    if (!skip("\\")) {
      const int32_t c = next_code_point(text_, at_);
      if (c < 0) fail("not UTF-8");
      return static_cast<uint32_t>(c);
    }
    const char c = peek();
    at_++;
    uint32_t out = static_cast<uint8_t>(c);
    switch (c) {
      case 'n': return '\n';
      case 'r': return '\r';
      case 't': return '\t';
      case 'x': return parse_hex(2);
      case 'u': out = parse_hex(4); break;
      case 'U': out = parse_hex(8); break;
      case '\\':
      case '"':
      case '\'':
      case '[':
      case ']':
      case '-':
      case '^':
      case '/': break;
      default: at_--, fail("an escape that is not known");
    }
    if (out > kMaxCodePoint || (out >= 0xD800 && out <= 0xDFFF)) fail("not a character");
    return out;
  }

  std::string parse_string() {
    const char quote = peek();
    if (quote != '"' && quote != '\'') fail("expected a quoted text");
    at_++;
    std::string out;
    while (peek() != quote || at_ == text_.size()) append_utf8(out, parse_character());
    at_++;
    return out;
  }

  CodePoints parse_class() {
    const bool negated = skip("^");
    std::vector<CodePoints::Range> ranges;
    while (!is("]")) {
      const uint32_t low = parse_character();
      uint32_t high = low;
      if (is("-") && !text_.substr(at_ + 1).starts_with("]")) {
        at_++;
        high = parse_character();
        if (high < low) fail("a range that runs backwards");
      }
      ranges.push_back({low, high});
    }
    at_++;
    const CodePoints set(std::move(ranges));
    return negated ? ~set : set;
  }

  ExprId token(const std::string& name) {
    const bool special = context_.vocabulary && context_.vocabulary->impl().special_ids.count(name);
    return grammar_.bytes(special ? kTokenBegin + name + kTokenEnd : name);
  }

  ExprId parse_token_id() {
    const int32_t id = parse_count();
    if (!skip("]>")) fail("expected ']>' behind the id of a token");
    if (!context_.vocabulary || id >= context_.vocabulary->size())
      fail(fmt::format("there is no token {}", id));
    const auto& impl = context_.vocabulary->impl();
    if (!impl.special[static_cast<size_t>(id)] || impl.text[static_cast<size_t>(id)].empty())
      fail(fmt::format("token {} is not a special token that may stand in a text", id));
    return grammar_.bytes(impl.text[static_cast<size_t>(id)]);
  }

  // The braces belong to the schema; strings in it may hold any others.
  ExprId parse_schema() {
    skip_space();
    const size_t from = at_;
    if (peek() != '{') fail("expected a JSON object behind %json_schema");
    int depth = 0;
    bool in_string = false;
    do {
      if (at_ == text_.size()) fail("a schema without its closing brace");
      const char c = text_[at_++];
      if (in_string && c == '\\') at_ = std::min(at_ + 1, text_.size());
      if (c == '"') in_string = !in_string;
      if (!in_string) depth += c == '{' ? 1 : c == '}' ? -1 : 0;
    } while (depth > 0);
    const SchemaOptions options{context_.any_whitespace, context_.open_objects};
    return add_json_schema(grammar_, json_, text_.substr(from, at_ - from), options);
  }

  Grammar grammar_;
  std::string_view text_;
  const GbnfContext& context_;
  JsonText json_;
  size_t at_ = 0;
  std::unordered_map<std::string, int32_t> names_;
};

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F)
      out += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
    else
      out += c;
  }
  return out + '"';
}

}  // namespace

Grammar parse_gbnf(std::string_view text, const GbnfContext& context) {
  return Parser(text, context).run();
}

}  // namespace mica::grammar

namespace mica {

std::string gbnf_literal(std::string_view text) { return grammar::quoted(text); }
std::string gbnf_token(std::string_view text) { return "%token" + grammar::quoted(text); }

std::string gbnf_json_schema(std::string_view schema) {
  const auto first = schema.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || schema[first] != '{' ||
      !grammar::Json::accept(schema.begin(), schema.end()))
    throw Error(ErrorKind::kUsage, "[json schema] expected a JSON object, found '{}'",
                schema.substr(0, 60));
  return "%json_schema" + std::string(schema.substr(first));
}

}  // namespace mica

#include "text/template/lexer.h"

#include <algorithm>
#include <array>

#include "text/template/template_error.h"
#include "text/template/unicode.h"

namespace mica::jinja {
namespace {

constexpr size_t kMaxTokens = size_t{1} << 20;
constexpr auto npos = std::string_view::npos;

std::string normalize_newlines(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      out += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  std::vector<Token> run() {
    while (position_ < source_.size()) lex_data();
    push(TokenType::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& message) {
    throw TemplateError(ErrorType::kSyntax, message, line_);
  }

  void push(TokenType type, std::string text) {
    if (tokens_.size() >= kMaxTokens) fail("the template has too many tokens");
    tokens_.push_back({type, line_, std::move(text)});
  }

  bool at(size_t position, std::string_view text) const {
    return std::string_view(source_).substr(std::min(position, source_.size()), text.size()) ==
           text;
  }

  size_t skip_space(size_t position) const {
    while (position < source_.size()) {
      size_t next = position;
      if (!is_space(next_code_point(source_, next))) break;
      position = next;
    }
    return position;
  }

  // Moves to `end`, counting lines, and remembers whether the tag closed with a line end.
  void advance(size_t end) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(position_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    if (end > position_) line_starting_ = source_[end - 1] == '\n';
    position_ = end;
  }

  // Behind `%}` or `#}` at `position` (with its sign), 0 when there is none: `-` eats all white
  // space that follows, none eats one line end, `+` eats nothing.
  size_t match_end(size_t position, std::string_view end, bool trim, bool plus = true) const {
    if (at(position, "-") && at(position + 1, end)) return skip_space(position + 1 + end.size());
    if (plus && at(position, "+") && at(position + 1, end)) return position + 1 + end.size();
    if (!at(position, end)) return 0;
    position += end.size();
    return trim && at(position, "\n") ? position + 1 : position;
  }

  // Behind `{% raw %}` that begins at `position`, else 0.
  size_t match_raw_begin(size_t position) const {
    position += 2;
    if (at(position, "-") || at(position, "+")) ++position;
    position = skip_space(position);
    if (!at(position, "raw")) return 0;
    return match_end(skip_space(position + 3), "%}", false, false);
  }

  // `text` before a tag, cut as the tag's sign and lstrip_blocks ask.
  std::string_view strip_before(std::string_view text, char sign, bool is_variable) const {
    if (sign == '-') return strip(text, nullptr, false, true);
    if (sign == '+' || is_variable) return text;
    size_t line = text.rfind('\n') + 1;  // 0 when there is none
    if (line == 0 && !line_starting_) return text;
    return strip(text.substr(line), nullptr, true, false).empty() ? text.substr(0, line) : text;
  }

  void emit_data(std::string_view text, char sign, bool is_variable) {
    std::string_view kept = strip_before(text, sign, is_variable);
    if (!kept.empty()) push(TokenType::kData, std::string(kept));
  }

  void lex_data() {
    size_t tag = position_;
    do {
      tag = source_.find('{', tag);
      if (tag == npos) break;
      if (at(tag, "{%") || at(tag, "{{") || at(tag, "{#")) break;
    } while (++tag < source_.size());
    if (tag == npos || tag >= source_.size()) {
      push(TokenType::kData, source_.substr(position_));
      advance(source_.size());
      return;
    }
    char type = source_[tag + 1];
    char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (sign != '-' && sign != '+') sign = '\0';
    emit_data(std::string_view(source_).substr(position_, tag - position_), sign, type == '{');
    size_t raw_end = type == '%' ? match_raw_begin(tag) : 0;
    if (raw_end) {
      advance(raw_end);
      lex_raw();
      return;
    }
    advance(tag + (sign ? 3 : 2));
    if (type == '#') {
      lex_comment();
    } else {
      lex_tag(type == '{');
    }
  }

  void lex_raw() {
    if (position_ >= source_.size()) return;  // at the very end it needs no end
    for (size_t i = position_; (i = source_.find("{%", i)) != npos; ++i) {
      size_t after = i + 2;
      char sign = at(after, "-") ? '-' : at(after, "+") ? '+' : '\0';
      after = skip_space(after + (sign ? 1 : 0));
      if (!at(after, "endraw")) continue;
      size_t end = match_end(skip_space(after + 6), "%}", true);
      if (!end) continue;
      emit_data(std::string_view(source_).substr(position_, i - position_), sign, false);
      advance(end);
      return;
    }
    fail("Missing end of raw directive");
  }

  void lex_comment() {
    if (position_ >= source_.size()) return;
    size_t close = source_.find("#}", position_);
    if (close == npos) fail("Missing end of comment tag");
    bool has_sign = close > position_ && (source_[close - 1] == '-' || source_[close - 1] == '+');
    advance(match_end(has_sign ? close - 1 : close, "#}", true));
  }

  void lex_tag(bool is_variable) {
    push(is_variable ? TokenType::kVariableBegin : TokenType::kBlockBegin, "");
    std::string brackets;
    while (position_ < source_.size()) {
      size_t end = !brackets.empty() ? 0
                   : is_variable     ? match_end(position_, "}}", false, false)
                                     : match_end(position_, "%}", true);
      if (end) {
        push(is_variable ? TokenType::kVariableEnd : TokenType::kBlockEnd, "");
        advance(end);
        return;
      }
      size_t space = skip_space(position_);
      if (space != position_) {
        advance(space);
      } else {
        lex_expression_token(brackets);
      }
    }
  }

  void lex_expression_token(std::string& brackets) {
    char c = source_[position_];
    if (is_digit(c)) return lex_number();
    if (c == '\'' || c == '"') return lex_string();
    size_t end = position_;
    while (end < source_.size()) {
      size_t next = end;
      if (!is_identifier_part(next_code_point(source_, next))) break;
      end = next;
    }
    if (end == position_) return lex_operator(brackets);
    size_t first = position_;
    if (!is_identifier_start(next_code_point(source_, first))) {
      fail("Invalid character in identifier");
    }
    push(TokenType::kName, source_.substr(position_, end - position_));
    advance(end);
  }

  // Behind (\d+_)*\d+ at `position`, or `position`.
  size_t skip_digits(size_t position) const {
    if (position >= source_.size() || !is_digit(source_[position])) return position;
    while (position < source_.size() &&
           (is_digit(source_[position]) ||
            (source_[position] == '_' && position + 1 < source_.size() &&
             is_digit(source_[position + 1])))) {
      ++position;
    }
    return position;
  }

  size_t match_float() const {
    if (position_ > 0 && source_[position_ - 1] == '.') return 0;
    size_t end = skip_digits(position_);
    bool has_fraction = false;
    if (at(end, ".") && skip_digits(end + 1) != end + 1) {
      end = skip_digits(end + 1);
      has_fraction = true;
    }
    if (at(end, "e") || at(end, "E")) {
      size_t exponent = end + 1;
      if (at(exponent, "+") || at(exponent, "-")) ++exponent;
      if (skip_digits(exponent) != exponent) return skip_digits(exponent);
    }
    return has_fraction ? end : 0;
  }

  size_t match_integer() const {
    if (source_[position_] != '0') return skip_digits(position_);
    char kind = position_ + 1 < source_.size() ? static_cast<char>(source_[position_ + 1] | 32) : 0;
    int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    auto is_valid = [&](size_t i) {
      int value = i < source_.size() ? hex_value(source_[i]) : -1;
      return value >= 0 && value < std::max(base, 1);
    };
    size_t end = base ? position_ + 2 : position_ + 1;
    size_t begin = end;
    while (is_valid(end) || (at(end, "_") && is_valid(end + 1))) ++end;
    return base && end == begin ? position_ + 1 : end;
  }

  void lex_number() {
    size_t end = match_float();
    TokenType type = end ? TokenType::kFloat : TokenType::kInteger;
    if (!end) end = match_integer();
    std::string text = source_.substr(position_, end - position_);
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    push(type, std::move(text));
    advance(end);
  }

  void lex_string() {
    char quote = source_[position_];
    size_t end = position_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail("unexpected char " + std::string(1, quote));
    std::string_view body = std::string_view(source_).substr(position_ + 1, end - position_ - 1);
    push(TokenType::kString, unescape(body));
    advance(end + 1);
  }

  // Python's unicode-escape.
  std::string unescape(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size();) {
      if (text[i] != '\\') {
        out += text[i++];
        continue;
      }
      ++i;
      i = unescape_one(text, i, out);
    }
    return out;
  }

  // `i` is behind the backslash; returns the position behind the escape.
  size_t unescape_one(std::string_view text, size_t i, std::string& out) {
    constexpr std::string_view kLetters = "abfnrtv\\'\"";
    constexpr std::string_view kCodes = "\a\b\f\n\r\t\v\\'\"";
    char c = text[i];
    if (c == '\n') return i + 1;
    if (size_t letter = kLetters.find(c); letter != npos) {
      out += kCodes[letter];
      return i + 1;
    }
    if (c >= '0' && c <= '7') {
      char32_t code = 0;
      size_t end = std::min(i + 3, text.size());
      for (; i < end && text[i] >= '0' && text[i] <= '7'; ++i) {
        code = code * 8 + static_cast<char32_t>(text[i] - '0');
      }
      append_utf8(out, code);
      return i;
    }
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (c == 'N') fail("\\N escapes are not supported");
    if (digits == 0) return unescape_unknown(text, i, out);
    char32_t code = 0;
    for (size_t k = 0; k < digits; ++k) {
      int value = i + 1 + k < text.size() ? hex_value(text[i + 1 + k]) : -1;
      if (value < 0) fail("truncated \\" + std::string(1, c) + " escape");
      code = code * 16 + static_cast<char32_t>(value);
    }
    if (code > 0x10FFFF) fail("illegal Unicode character");
    append_utf8(out, code);
    return i + 1 + digits;
  }

  // An unknown escape stays; a character beyond ASCII was made an escape before, so that its
  // backslash escapes that one.
  static size_t unescape_unknown(std::string_view text, size_t i, std::string& out) {
    out += '\\';
    size_t end = i;
    char32_t code = next_code_point(text, end);
    if (code < 0x80) {
      out += text[i];
    } else if (code < 0x100) {
      out += fmt::format("x{:02x}", static_cast<unsigned>(code));
    } else if (code < 0x10000) {
      out += fmt::format("u{:04x}", static_cast<unsigned>(code));
    } else {
      out += fmt::format("U{:08x}", static_cast<unsigned>(code));
    }
    return end;
  }

  void lex_operator(std::string& brackets) {
    static constexpr std::array<std::string_view, 26> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (std::string_view op : kOperators) {
      if (!at(position_, op)) continue;
      balance(op, brackets);
      push(TokenType::kOperator, std::string(op));
      advance(position_ + op.size());
      return;
    }
    fail("unexpected char " + source_.substr(position_, code_point_bytes(source_, position_)));
  }

  void balance(std::string_view op, std::string& brackets) {
    if (op == "{") brackets += '}';
    if (op == "(") brackets += ')';
    if (op == "[") brackets += ']';
    if (op != "}" && op != ")" && op != "]") return;
    if (brackets.empty()) fail(fmt::format("unexpected '{}'", op));
    if (brackets.back() != op[0]) {
      fail(fmt::format("unexpected '{}', expected '{}'", op, brackets.back()));
    }
    brackets.pop_back();
  }

  const std::string source_;
  size_t position_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  std::string text = normalize_newlines(source);
  if (text.ends_with('\n')) text.pop_back();  // keep_trailing_newline is off
  return Lexer(std::move(text)).run();
}

std::string describe(const Token& token) {
  switch (token.type) {
    case TokenType::kData: return "template data / text";
    case TokenType::kBlockBegin: return "begin of statement block";
    case TokenType::kBlockEnd: return "end of statement block";
    case TokenType::kVariableBegin: return "begin of print statement";
    case TokenType::kVariableEnd: return "end of print statement";
    case TokenType::kEnd: return "end of template";
    case TokenType::kString: return "string";
    case TokenType::kInteger: return "integer";
    case TokenType::kFloat: return "float";
    default: return token.text;
  }
}

}  // namespace mica::jinja

#include "text/answer/value_reader.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <iterator>

#include "text/utf8.h"

namespace mica {
namespace {

constexpr size_t kMaxDepth = 256;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Whether `word` is a number as JSON writes them, and one that a double holds.
bool json_number(std::string_view word) {
  size_t i = 0;
  auto digits = [&] {
    const size_t from = i;
    while (i < word.size() && is_digit(word[i])) ++i;
    return i - from;
  };
  if (i < word.size() && word[i] == '-') ++i;
  const bool zero = i < word.size() && word[i] == '0';
  const size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (i < word.size() && word[i] == '.') {
    ++i;
    if (digits() == 0) return false;
  }
  if (i < word.size() && (word[i] == 'e' || word[i] == 'E')) {
    ++i;
    if (i < word.size() && (word[i] == '+' || word[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == word.size() && std::isfinite(std::strtod(std::string(word).c_str(), nullptr));
}

}  // namespace

void append_escaped(std::string& out, std::string_view text) {
  for (char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", c);
        } else {
          out += c;
        }
    }
  }
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  append_escaped(out, text);
  return out += '"';
}

ValueReader::Status ValueReader::failed(const char* problem) {
  problem_ = problem;
  return Status::kFailed;
}

void ValueReader::flush_comma(std::string& out) {
  out += comma_;
  comma_.clear();
}

ValueReader::Status ValueReader::feed(char c, std::string& out) {
  switch (state_) {
    case State::kString: return string_byte(c, out);
    case State::kEscape: return escape_byte(c, out);
    case State::kHex:
    case State::kOctal: return hex_byte(c, out);
    case State::kQuoteOpen:
      if (c != quote_[quote_matched_]) return failed("a value that is neither text nor number");
      if (++quote_matched_ < quote_.size()) return Status::kMore;
      quote_matched_ = 0;
      state_ = State::kQuoted;
      out += '"';
      return Status::kMore;
    case State::kQuoted: return quoted_byte(c, out);
    case State::kWord:
      if (!ends_word(c)) {
        word_ += c;
        return Status::kMore;
      }
      if (!end_word(out)) return failed("a word that is no value");
      if (stack_.empty()) return Status::kDoneBefore;
      return structure_byte(c, out);
    default: return structure_byte(c, out);
  }
}

ValueReader::Status ValueReader::structure_byte(char c, std::string& out) {
  if (is_space(c)) {
    if (json() && !stack_.empty()) (comma_.empty() ? out : comma_) += c;
    return Status::kMore;
  }
  switch (state_) {
    case State::kItem:
      if (c == ']' || c == ')') return close_bracket(c, out);
      return begin_value(c, out);
    case State::kKey:
      if (c == '}') return close_bracket(c, out);
      return begin_key(c, out);
    case State::kColon:
      if (c != ':') return failed("no colon behind a key");
      out += json() ? ":" : ": ";
      state_ = State::kValue;
      return Status::kMore;
    case State::kNext:
      if (c != ',') return close_bracket(c, out);
      comma_ = json() ? "," : ", ";
      state_ = stack_.back() == '{' ? State::kKey : State::kItem;
      return Status::kMore;
    default: return begin_value(c, out);
  }
}

ValueReader::Status ValueReader::open(char c, std::string& out) {
  if (stack_.size() == kMaxDepth) return failed("nested too deeply");
  flush_comma(out);
  stack_ += c;
  out += c == '{' ? '{' : '[';
  state_ = c == '{' ? State::kKey : State::kItem;
  return Status::kMore;
}

ValueReader::Status ValueReader::close_bracket(char c, std::string& out) {
  const char opened = stack_.empty() ? '\0' : stack_.back();
  const bool matches =
      (opened == '{' && c == '}') || (opened == '[' && c == ']') || (opened == '(' && c == ')');
  if (!matches) return failed("no comma or bracket behind a value");
  if (!comma_.empty() && notation_ != Notation::kPython) mended_ = true;
  comma_.clear();
  out += c == '}' ? '}' : ']';
  stack_.pop_back();
  state_ = State::kNext;
  return stack_.empty() ? Status::kDone : Status::kMore;
}

ValueReader::Status ValueReader::begin_value(char c, std::string& out) {
  key_ = false;
  if (c == '{' || c == '[' || (c == '(' && notation_ == Notation::kPython)) return open(c, out);
  if (c == '"' || (c == '\'' && notation_ != Notation::kGemma)) {
    flush_comma(out);
    if (c == '\'' && json()) mended_ = true;
    delimiter_ = c;
    out += '"';
    state_ = State::kString;
    return Status::kMore;
  }
  if (!quote_.empty() && c == quote_[0]) {
    flush_comma(out);
    quote_matched_ = 1;
    state_ = State::kQuoteOpen;
    return Status::kMore;
  }
  if (ends_word(c) || c == ':') return failed("a value is missing");
  flush_comma(out);
  word_ = c;
  state_ = State::kWord;
  return Status::kMore;
}

ValueReader::Status ValueReader::begin_key(char c, std::string& out) {
  const bool quotes = c == '"' || c == '\'' || (!quote_.empty() && c == quote_[0]);
  if (!quotes && json()) return failed("a key without quotes");
  const Status status =
      c == '{' || c == '[' || c == '(' ? failed("a key that is no text") : begin_value(c, out);
  key_ = true;
  return status;
}

ValueReader::Status ValueReader::end_string(std::string& out) {
  flush_surrogate(out);
  out += '"';
  state_ = key_ ? State::kColon : State::kNext;
  return stack_.empty() ? Status::kDone : Status::kMore;
}

ValueReader::Status ValueReader::string_byte(char c, std::string& out) {
  if (c == '\\') {
    state_ = State::kEscape;
    return Status::kMore;
  }
  if (c == delimiter_) return end_string(out);
  flush_surrogate(out);
  if (static_cast<unsigned char>(c) < 0x20) mended_ = true;
  append_escaped(out, std::string_view(&c, 1));
  return Status::kMore;
}

ValueReader::Status ValueReader::escape_byte(char c, std::string& out) {
  const bool python = notation_ == Notation::kPython;
  state_ = State::kString;
  word_.clear();
  if (c == 'u' || (python && (c == 'x' || c == 'U'))) {
    digits_ = c == 'x' ? 2 : c == 'u' ? 4 : 8;
    state_ = State::kHex;
    return Status::kMore;
  }
  flush_surrogate(out);
  if (python && c >= '0' && c <= '7') {
    word_ = c;
    state_ = State::kOctal;
  } else if (python && (c == 'a' || c == 'v')) {
    out += c == 'a' ? "\\u0007" : "\\u000b";
  } else if (python && c == '\n') {
    // a line that goes on
  } else if (c == '\'') {
    if (!python) mended_ = true;
    out += c;
  } else if (std::string_view("\"\\bfnrt").find(c) != std::string_view::npos ||
             (c == '/' && !python)) {
    out += {'\\', c};
  } else {
    if (!python) mended_ = true;
    out += "\\\\";
    append_escaped(out, std::string_view(&c, 1));
  }
  return Status::kMore;
}

ValueReader::Status ValueReader::hex_byte(char c, std::string& out) {
  const bool octal = state_ == State::kOctal;
  const bool digit = octal ? c >= '0' && c <= '7' : std::isxdigit(static_cast<unsigned char>(c));
  if (octal && (!digit || word_.size() == 3)) {
    code_point(static_cast<uint32_t>(std::strtoul(word_.c_str(), nullptr, 8)), out);
    state_ = State::kString;
    return string_byte(c, out);
  }
  if (!digit) return failed("an escape without its digits");
  word_ += c;
  if (octal || word_.size() < digits_) return Status::kMore;
  const auto value = static_cast<uint32_t>(std::strtoul(word_.c_str(), nullptr, 16));
  state_ = State::kString;
  if (digits_ == 4) {
    unit(value, out);
  } else {
    code_point(value, out);
  }
  return Status::kMore;
}

// Escapes of JSON stay escapes; half a surrogate pair becomes U+FFFD.
void ValueReader::unit(uint32_t value, std::string& out) {
  const bool low = value >= 0xdc00 && value < 0xe000;
  if (low && high_ != 0) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}\\u{}", high_, word_);
    high_ = 0;
    return;
  }
  flush_surrogate(out);
  if (value >= 0xd800 && value < 0xdc00) {
    high_ = value;
  } else {
    out += low ? "\\ufffd" : "\\u" + word_;
    if (low) mended_ = true;
  }
}

void ValueReader::flush_surrogate(std::string& out) {
  if (high_ == 0) return;
  out += "\\ufffd";
  high_ = 0;
  mended_ = true;
}

void ValueReader::code_point(uint32_t value, std::string& out) {
  flush_surrogate(out);
  if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) value = 0xfffd;
  std::string text;
  append_utf8(text, value);
  append_escaped(out, text);
}

ValueReader::Status ValueReader::quoted_byte(char c, std::string& out) {
  if (c == quote_[quote_matched_]) {
    if (++quote_matched_ < quote_.size()) return Status::kMore;
    return end_string(out);
  }
  // No part of the marker but its first byte can begin it again.
  append_escaped(out, quote_.substr(0, quote_matched_));
  quote_matched_ = c == quote_[0] ? 1 : 0;
  if (quote_matched_ == 0) append_escaped(out, std::string_view(&c, 1));
  return Status::kMore;
}

bool ValueReader::ends_word(char c) const {
  if (c == ',' || c == ']' || c == '}') return true;
  if (notation_ == Notation::kGemma) return key_ && c == ':';
  return c == ')' || is_space(c) || (key_ && c == ':') || c == '"' || c == '\'' || c == '[' ||
         c == '{' || c == '(';
}

bool ValueReader::end_word(std::string& out) {
  while (!word_.empty() && is_space(word_.back())) word_.pop_back();
  state_ = key_ ? State::kColon : State::kNext;
  if (key_) {
    if (notation_ == Notation::kPython && !json_number(word_)) return false;
    out += json_string(word_);
    return true;
  }
  if (json_number(word_) || word_ == "true" || word_ == "false" || word_ == "null") {
    out += word_;
    return true;
  }
  if (python_word(out)) {
    if (notation_ != Notation::kPython) mended_ = true;
    return true;
  }
  if (notation_ != Notation::kGemma) return false;
  mended_ = true;
  out += json_string(word_);
  return true;
}

bool ValueReader::python_word(std::string& out) {
  if (word_ == "True" || word_ == "False" || word_ == "None") {
    out += word_ == "True" ? "true" : word_ == "False" ? "false" : "null";
    return true;
  }
  if (notation_ != Notation::kPython) return false;
  std::string number;
  for (char c : word_) {
    if (c == '.' && (number.empty() || !is_digit(number.back()))) number += '0';  // .5
    if (c != '_') number += c;
  }
  if (!number.empty() && number.back() == '.') number += '0';  // 1.
  if (!number.empty() && number.front() == '+') number.erase(0, 1);
  if (!json_number(number)) return false;
  out += number;
  return true;
}

bool ValueReader::close(std::string& out) {
  if (state_ == State::kWord && (key_ || !end_word(out))) return false;
  if (state_ != State::kNext && state_ != State::kItem && state_ != State::kKey) return false;
  comma_.clear();
  for (; !stack_.empty(); stack_.pop_back()) out += stack_.back() == '{' ? '}' : ']';
  return true;
}

}  // namespace mica

#include "bench/eval/number.h"

#include <algorithm>
#include <cstdlib>

#include "base/error.h"

namespace mica {
namespace {

constexpr std::string_view kCurrencies[] = {"\\$", "$", "€", "£", "¥", "₹"};
constexpr std::string_view kMinuses[] = {"-", "−"};
// Between groups of three digits: comma, LaTeX's forms of it and of a thin space, the spaces
// U+00A0, U+2009 and U+202F.
constexpr std::string_view kSeparators[] = {"{,}", ",", "\\,", "\u00a0", "\u2009", "\u202f"};
constexpr int kMostExponent = 99;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Digits that begin at `at`.
size_t digits(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && is_digit(text[end])) ++end;
  return end - at;
}

// The length of that one of `words` with which the text ends; 0 = none.
template <size_t N>
size_t ends_with_any(std::string_view text, const std::string_view (&words)[N]) {
  for (const std::string_view word : words)
    if (text.ends_with(word)) return word.size();
  return 0;
}

// Appends ",234" and further groups; returns the end.
size_t read_groups(std::string_view text, size_t at, std::string& whole) {
  for (;;) {
    size_t length = 0;
    for (const std::string_view separator : kSeparators)
      if (text.substr(at).starts_with(separator)) {
        length = separator.size();
        break;
      }
    if (length == 0 || digits(text, at + length) != 3) return at;
    whole += text.substr(at + length, 3);
    at += length + 3;
  }
}

// Moves the point: "1.5" and 2 are "150".
void shift(std::string& whole, std::string& fraction, int exponent) {
  for (; exponent > 0; --exponent) {
    whole += fraction.empty() ? '0' : fraction.front();
    if (!fraction.empty()) fraction.erase(0, 1);
  }
  for (; exponent < 0; ++exponent) {
    fraction.insert(fraction.begin(), whole.empty() ? '0' : whole.back());
    if (!whole.empty()) whole.pop_back();
  }
}

// "e-3" behind a number; returns its end, or `at` when there is none.
size_t read_exponent(std::string_view text, size_t at, int& exponent) {
  if (at >= text.size() || (text[at] != 'e' && text[at] != 'E')) return at;
  size_t begin = at + 1;
  const bool negative = begin < text.size() && text[begin] == '-';
  if (begin < text.size() && (text[begin] == '-' || text[begin] == '+')) ++begin;
  const size_t count = digits(text, begin);
  const size_t end = begin + count;
  if (count == 0 || count > 2 || (end < text.size() && is_letter(text[end]))) return at;
  const int value = std::atoi(std::string(text.substr(begin, count)).c_str());
  if (value > kMostExponent) return at;
  exponent = negative ? -value : value;
  return end;
}

Decimal normalized(bool negative, std::string whole, std::string fraction) {
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size()));
  fraction.erase(fraction.find_last_not_of('0') + 1);
  if (whole.empty()) whole = "0";
  return {negative && (whole != "0" || !fraction.empty()), std::move(whole), std::move(fraction)};
}

// Digits that belong to a word, an index or an exponent: "x2", "a_2", "cm^2", "cm^{2}".
bool is_attached(std::string_view before) {
  if (before.ends_with('{')) {
    before.remove_suffix(1);
    return before.ends_with('^') || before.ends_with('_');
  }
  return !before.empty() &&
         (is_letter(before.back()) || before.back() == '_' || before.back() == '^');
}

// A minus that is no sign follows what it takes something from.
bool ends_operand(std::string_view before) {
  if (before.empty()) return false;
  const char last = before.back();
  return is_digit(last) || is_letter(last) || last == ')' || last == ']' || last == '}' ||
         last == '%' || last == '-' || last == '_';
}

// Where sign and currency before the digits begin ("-$5", "$-5"); sets `negative`.
size_t read_head(std::string_view text, size_t digits_begin, bool& negative) {
  size_t begin = digits_begin;
  begin -= ends_with_any(text.substr(0, begin), kCurrencies);
  if (const size_t minus = ends_with_any(text.substr(0, begin), kMinuses);
      minus > 0 && !ends_operand(text.substr(0, begin - minus))) {
    negative = true;
    begin -= minus;
    begin -= ends_with_any(text.substr(0, begin), kCurrencies);
  }
  return begin;
}

// The number whose first digit, or point before it, is at `at`.
FoundNumber read_number(std::string_view text, size_t at) {
  FoundNumber found;
  std::string whole, fraction;
  size_t end = at;
  if (text[at] != '.') {
    end += digits(text, at);
    whole = text.substr(at, end - at);
    if (whole.size() <= 3) end = read_groups(text, end, whole);
  }
  if (end < text.size() && text[end] == '.') {
    const size_t count = digits(text, end + 1);
    fraction = text.substr(end + 1, count);
    if (count > 0) end += 1 + count;
  }
  int exponent = 0;
  end = read_exponent(text, end, exponent);
  shift(whole, fraction, exponent);
  bool negative = false;
  found.begin = read_head(text, at, negative);
  found.end = end;
  found.value = normalized(negative, std::move(whole), std::move(fraction));
  return found;
}

// Whether a number begins at `at`: a digit, or a point before one.
bool begins_number(std::string_view text, size_t at) {
  if (is_digit(text[at])) return true;
  const char before = at > 0 ? text[at - 1] : ' ';
  return text[at] == '.' && digits(text, at + 1) > 0 && !is_letter(before) && !is_digit(before) &&
         before != '.' && before != ')';
}

// "#### 18", "#### **$18** dollars"; no list or heading: "#### 1. Count the eggs".
std::optional<Decimal> number_behind_mark(std::string_view line) {
  const auto skip = [&line](std::string_view what) {
    line.remove_prefix(std::min(line.find_first_not_of(what), line.size()));
  };
  skip(" \t*#:=(");
  if (line.starts_with("\\(") || line.starts_with("\\[")) line.remove_prefix(2);
  for (const std::string_view currency : kCurrencies)
    if (line.starts_with(currency)) line.remove_prefix(currency.size());
  skip(" \t");
  const auto found = next_number(line, 0);
  if (!found || found->begin != 0) return std::nullopt;
  const std::string_view rest = line.substr(found->end);
  const bool ordinal = rest.starts_with(". ") || rest.starts_with(") ") || rest.starts_with(":");
  if (ordinal && rest.find_first_not_of(".): \t*") != std::string_view::npos) return std::nullopt;
  return found->value;
}

struct Marked {
  Decimal value;
  size_t at = 0;
};

// read(the text behind the mark) at the last places of `mark`, until it gives a number. So many
// places at most, that a text of marks alone costs no more than a few passes.
template <typename Read>
std::optional<Marked> last_behind(std::string_view text, std::string_view mark, Read read) {
  constexpr int kMostPlaces = 32;
  size_t at = text.rfind(mark);
  for (int i = 0; i < kMostPlaces && at != std::string_view::npos; ++i) {
    if (const auto value = read(text.substr(at + mark.size()))) return Marked{*value, at};
    if (at == 0) break;
    at = text.rfind(mark, at - 1);
  }
  return std::nullopt;
}

std::optional<Marked> last_marked(std::string_view text) {
  return last_behind(text, "####", [](std::string_view rest) {
    return number_behind_mark(rest.substr(0, rest.find('\n')));
  });
}

std::optional<Marked> last_boxed(std::string_view text) {
  return last_behind(text, "\\boxed{", [](std::string_view rest) -> std::optional<Decimal> {
    size_t end = 0;
    for (int depth = 1; end < rest.size() && depth > 0; ++end)
      depth += rest[end] == '{' ? 1 : rest[end] == '}' ? -1 : 0;
    const std::string_view inside = rest.substr(0, end);
    if (inside.find("\\frac") != std::string_view::npos) return std::nullopt;
    const auto found = next_number(inside, 0);
    return found ? std::optional(found->value) : std::nullopt;
  });
}

}  // namespace

std::string Decimal::text() const {
  return (negative ? "-" : "") + whole + (fraction.empty() ? "" : "." + fraction);
}

double Decimal::value() const {
  return std::strtod(text().c_str(), nullptr);
}

std::optional<FoundNumber> next_number(std::string_view text, size_t from) {
  for (size_t at = from; at < text.size(); ++at) {
    if (!begins_number(text, at)) continue;
    if (!is_attached(text.substr(0, at))) return read_number(text, at);
    at = read_number(text, at).end - 1;
  }
  return std::nullopt;
}

std::optional<Decimal> parse_decimal(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  text = text.substr(0, text.find_last_not_of(kBlank) + 1);
  const auto found = next_number(text, 0);
  if (!found || found->begin != 0) return std::nullopt;
  const std::string_view rest = text.substr(found->end);
  if (!rest.empty() && rest != "%" && rest != ".") return std::nullopt;
  return found->value;
}

const char* name(NumberPlace place) {
  switch (place) {
    case NumberPlace::kMarked: return "after ####";
    case NumberPlace::kBoxed: return "boxed";
    case NumberPlace::kLast: return "last number";
  }
  MICA_CHECK(false);
}

std::optional<AnswerNumber> find_answer_number(std::string_view answer) {
  const auto marked = last_marked(answer), boxed = last_boxed(answer);
  if (marked && (!boxed || boxed->at < marked->at))
    return AnswerNumber{marked->value, NumberPlace::kMarked};
  if (boxed) return AnswerNumber{boxed->value, NumberPlace::kBoxed};
  std::optional<AnswerNumber> last;
  size_t at = 0;
  while (const auto found = next_number(answer, at)) {
    last = AnswerNumber{found->value, NumberPlace::kLast};
    at = found->end;
  }
  return last;
}

}  // namespace mica

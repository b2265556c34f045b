// Numbers in texts that people and models write: "$1,234.50", "-3", "\boxed{18}".
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace mica {

// A decimal number, exact: equal values are equal objects.
struct Decimal {
  bool negative = false;     // never of zero
  std::string whole;         // without leading zeros; "0"
  std::string fraction;      // without trailing zeros; empty
  std::string text() const;  // "-1234.5"
  double value() const;
  friend bool operator==(const Decimal&, const Decimal&) = default;
};

struct FoundNumber {
  Decimal value;
  size_t begin = 0, end = 0;  // of the text, with sign and currency
};

// The first number that begins at `from` or later. Digits with thousands separators (',' or a
// narrow or fixed space, LaTeX's "{,}" and "\,"), a fraction behind '.', an exponent, and before
// it a currency sign and a minus ('-' or U+2212) that is none of a difference or a range ("5-3").
// No numbers: digits behind a letter, '_' or '^' ("x2", "cm^2"), and digits that are not ASCII.
std::optional<FoundNumber> next_number(std::string_view text, size_t from);

// The text, without blanks around it, is one number, maybe with '%' or '.' behind it.
std::optional<Decimal> parse_decimal(std::string_view text);

// Where an answer says its number.
enum class NumberPlace {
  kMarked,  // behind the last "####" that a number follows
  kBoxed,   // in the last \boxed{…}
  kLast,    // the last number of the text
};
const char* name(NumberPlace place);  // "after ####", "boxed", "last number"

struct AnswerNumber {
  Decimal value;
  NumberPlace place = NumberPlace::kLast;
};
// Of "####" and \boxed the one that comes later. Nothing when the text has no number.
std::optional<AnswerNumber> find_answer_number(std::string_view answer);

}  // namespace mica

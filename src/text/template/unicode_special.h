// The generated tables of unicode_special.cpp (tools/template_unicode.py). Only unicode.cpp reads
// them.
#pragma once

#include <cstddef>

namespace mica::jinja::unicode_special {

struct Casing {
  char32_t code;
  const char* text;  // several code points
};
struct Range {
  char32_t first, last;
};

extern const Casing kUpper[];
extern const size_t kUpperCount;
extern const Casing kTitle[];
extern const size_t kTitleCount;
extern const Range kDigits[];  // str.isdigit, but not a decimal digit
extern const size_t kDigitsCount;
extern const Range kNumeric[];  // str.isnumeric, but not a number by category
extern const size_t kNumericCount;
extern const Range kIgnorable[];  // case-ignorable, but not by category
extern const size_t kIgnorableCount;
extern const Range kIdentifierStart[];  // where str.isidentifier differs from the categories
extern const size_t kIdentifierStartCount;
extern const Range kIdentifierPart[];
extern const size_t kIdentifierPartCount;

}  // namespace mica::jinja::unicode_special

// The generated tables of unicode_data.cpp (tools/unicode_tables.py). Only unicode.cpp reads them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mica::unicode_data {

// A run (value, length) covers `length` code points; both are little-endian numbers in 5-bit
// digits, one character each: '#' + digit, + 32 when another digit follows.
extern const char* const kCategory;     // index into the list of categories in unicode.cpp
extern const char* const kScript;       // 0, or 1 + index into kScriptNames
extern const char* const kSplitScript;  // the older classes of the UnicodeScripts pre-tokenizer
extern const char* const kWord;         // \w of Oniguruma
extern const char* const kAlphabetic;
extern const char* const kUpper;
extern const char* const kLower;
extern const char* const kNumeric;        // the Digits pre-tokenizer
extern const char* const kPunctuation;    // the Punctuation and BertPreTokenizer pre-tokenizers
extern const char* const kBertRemoved;    // removed by clean_text of BertNormalizer
extern const char* const kBertAccent;     // removed by strip_accents of BertNormalizer
extern const char* const kCombiningMark;  // removed by StripAccents
extern const char* const kNormalForms;    // bits 0..3: not inert in NFC, NFD, NFKC, NFKD

struct LowerRun {
  char32_t first, last;
  uint32_t stride;
  int32_t delta;  // lowercase(c) = c + delta for c = first, first + stride … last
};
extern const LowerRun kLowerRuns[];
extern const size_t kLowerRunCount;
extern const char* const kScriptNames[];
extern const size_t kScriptCount;

}  // namespace mica::unicode_data

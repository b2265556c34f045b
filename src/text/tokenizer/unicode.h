// UTF-8 and the Unicode properties that tokenizer files name, as the reference library defines
// them (its sets are measured, see tools/unicode_tables.py).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/tokenizer/char_set.h"
#include "text/utf8.h"

namespace mica::tok {

// The code point at `p`, which must begin a character of valid UTF-8; sets its length in bytes.
inline char32_t decode_utf8(const char* p, uint32_t& length) {
  const auto b = [p](int i) { return static_cast<uint8_t>(p[i]); };
  if (b(0) < 0x80) return length = 1, b(0);
  if (b(0) < 0xE0) return length = 2, (b(0) & 0x1Fu) << 6 | (b(1) & 0x3Fu);
  if (b(0) < 0xF0) return length = 3, (b(0) & 0x0Fu) << 12 | (b(1) & 0x3Fu) << 6 | (b(2) & 0x3Fu);
  return length = 4,
         (b(0) & 0x07u) << 18 | (b(1) & 0x3Fu) << 12 | (b(2) & 0x3Fu) << 6 | (b(3) & 0x3Fu);
}

inline uint32_t utf8_length(char lead) {
  const auto b = static_cast<uint8_t>(lead);
  return b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
}

// Where the character before position `at` > 0 begins.
inline size_t previous_char(std::string_view text, size_t at) {
  do at--;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80);
  return at;
}

std::string to_utf8(char32_t c);

// What begins at p < end: a character, a bad subpart (of `length` bytes, maximal), or the start of
// a character that the end of the text cuts off.
enum class Utf8Kind { kGood, kBad, kCut };
Utf8Kind classify_utf8(const char* p, const char* end, uint32_t& length);

bool is_valid_utf8(std::string_view text);
// Appends `bytes` with each maximal bad subpart as one U+FFFD. With `keep_cut` a character cut off
// by the end is not appended; returns the number of bytes taken.
size_t append_lossy(std::string& out, std::string_view bytes, bool keep_cut);

// The set behind a property name of regular expressions (`L`, `Lu`, `Han`, `Alnum`, `word` …) in
// any spelling; nullptr when unknown. `space` is White_Space.
const RangeSet* property_set(std::string_view name);

bool is_whitespace(char32_t c);           // White_Space
bool is_rust_word(char32_t c);            // \w of the Whitespace pre-tokenizer and of single_word
bool is_numeric(char32_t c);              // Nd, Nl, No
bool is_punctuation(char32_t c);          // ASCII punctuation and the reference's P*
bool is_bert_removed(char32_t c);         // controls that BertNormalizer drops, NUL, U+FFFD
bool is_bert_accent(char32_t c);          // Mn
bool is_combining_mark(char32_t c);       // M*
uint8_t split_script(char32_t c);         // class of the UnicodeScripts pre-tokenizer, 0 = any
uint8_t normal_form_flags(char32_t c);    // bits 0..3: not inert in NFC, NFD, NFKC, NFKD
char32_t to_lower(char32_t c);            // simple mapping; U+0130 is the caller's
RangeSet fold_case(const RangeSet& set);  // with all one-character case variants

}  // namespace mica::tok

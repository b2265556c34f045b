// Words, sentences and paragraphs of a text.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace mica {

// White space as Python's str.strip() knows it.
std::string_view stripped(std::string_view text);

// Lines without their ends; one more than there are line feeds.
std::vector<std::string_view> lines_of(std::string_view text);
// The pieces between `separator`s; one more than there are separators.
std::vector<std::string_view> pieces_of(std::string_view text, std::string_view separator);

bool is_word_character(char32_t c);  // letter, mark, digit, '_'

// Runs of word characters: "don't" has two.
int64_t count_words(std::string_view text);

// Words in capitals: between blanks, without punctuation around them, with at least one letter that
// has a case and none in lower case: "NASA", "I", "X-RAY".
int64_t count_capital_words(std::string_view text);

// A sentence ends with . ! ? … or their Chinese, Hindi or Arabic forms, maybe followed by quotes or
// brackets, and then a blank or the text's end. No ends: abbreviations ("Dr.", "e.g."), initials,
// the number that begins a line of a list, and what a word in lower case follows (unless the text
// has no capitals). What is left at the end is a sentence. Line breaks end none: a heading belongs
// to what follows.
int64_t count_sentences(std::string_view text);

}  // namespace mica

// Words for people: which known one is meant by an unknown one, one or several.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

// Levenshtein's distance, in bytes.
size_t edit_distance(std::string_view a, std::string_view b);

// The closest of `known`, or empty where none is near: further away than half of the word's length
// it is no misspelling.
std::string nearest_spelling(std::string_view word, const std::vector<std::string>& known);

// "; is port meant?", or empty where nothing is near: an error message's end.
std::string meant_instead(std::string_view word, const std::vector<std::string>& known);

// "1 run", "3 runs": for nouns whose plural is an s.
std::string counted(int64_t number, std::string_view noun);

}  // namespace mica

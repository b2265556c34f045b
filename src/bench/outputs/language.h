// Which language a text is in. A small method: the script of most letters, then, where several
// languages share it, how many of the words are among a language's most frequent ones.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

// ISO 639-1 codes that can be told apart: "en", "de", "hi" …
std::vector<std::string> known_languages();
bool is_known_language(std::string_view code);

// Nothing when the text has no letters of a known script, or when it is too short or too strange:
// names alone, code, a language that is not known.
std::optional<std::string> detect_language(std::string_view text);

// The text is in that language, or it can't be told and most letters are of its script.
bool may_be_language(std::string_view text, std::string_view code);

}  // namespace mica

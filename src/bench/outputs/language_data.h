// Frequent words of languages that share a script. Used by language.cpp alone.
#pragma once

#include <span>

namespace mica {

struct LanguageData {
  const char* code;    // ISO 639-1
  const char* script;  // Unicode's name
  // Separated by blanks, lower case; empty where no other known language has this script.
  const char* words;
};
std::span<const LanguageData> language_data();

}  // namespace mica

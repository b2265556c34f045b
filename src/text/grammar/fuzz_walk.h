// Compiles what a fuzzer made and follows a text through its masks.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/grammar/grammar.h"

namespace mica::grammar_fuzz {

inline const std::shared_ptr<const TokenVocabulary>& vocabulary() {
  static const auto out = [] {
    std::vector<std::string> tokens;
    for (int byte = 0; byte < 256; byte++)
      tokens.push_back(std::string(1, static_cast<char>(byte)));
    for (const char* piece : {"{\"", "\":", "\",\"", "\"}", "[[", "]]", "ab", "abc", "12", "true",
                              "null", "\\u", "\xE4\xBD", "\xA0\"", "  ", "\n "})
      tokens.push_back(piece);
    tokens.push_back("<t>");
    tokens.push_back("<end>");
    std::vector<bool> special(tokens.size(), false);
    special[tokens.size() - 2] = true;
    const auto end = static_cast<int32_t>(tokens.size() - 1);
    return std::make_shared<const TokenVocabulary>(std::move(tokens), std::vector<int32_t>{end},
                                                   special);
  }();
  return out;
}

// True when the text ended. Aborts when mask and accept disagree.
inline bool walk(const GrammarSpec& spec, uint32_t seed, std::string* text = nullptr) {
  try {
    GrammarMatcher matcher(GrammarCompiler(vocabulary()).compile(spec));
    std::vector<uint32_t> mask(vocabulary()->mask_words());
    const int32_t end = vocabulary()->end_ids()[0];
    uint32_t random = seed * 2654435761u + 1;
    for (int step = 0; step < 48; step++) {
      matcher.mask(mask);
      int32_t next = -1;
      random = random * 1664525u + 1013904223u;
      const auto from = static_cast<int32_t>(random >> 8) % vocabulary()->size();
      for (int32_t i = 0; i < vocabulary()->size(); i++) {
        const int32_t token = (from + i) % vocabulary()->size();
        const bool allowed = mask[static_cast<size_t>(token) / 32] >> token % 32 & 1;
        if (allowed && (next < 0 || token == end)) next = token;
        if (i % 16 != step % 16) continue;
        GrammarMatcher copy(matcher);
        if (copy.accept(token) != allowed) std::abort();
      }
      if (next < 0 || !matcher.accept(next)) std::abort();
      if (matcher.ended()) return true;
      if (text) *text += vocabulary()->bytes(next);
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUsage) std::abort();
  }
  return false;
}

}  // namespace mica::grammar_fuzz

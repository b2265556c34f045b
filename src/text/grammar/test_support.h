// What the tests of grammars share: small vocabularies, whole texts, errors.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/grammar/grammar.h"

namespace mica::grammar_test {

using Kind = GrammarSpec::Kind;

// Every byte, then pieces that tokenizers have (some end inside a character), then two special
// tokens "<call>" and "</call>", then one end token, last.
inline std::shared_ptr<const TokenVocabulary> vocabulary(std::vector<std::string> more = {}) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; byte++) tokens.push_back(std::string(1, static_cast<char>(byte)));
  for (const char* piece :
       {"{\"",    "\":",      "\": ",     "\",",      "\", \"",   "\"}",   "}]",    "},",   "[[",
        "]]",     "[{",       "}}",       ", ",       "true",     "false", "null",  "12",   "100",
        "-1",     "0.",       "ab",       "abc",      "the",      " a",    "  ",    "\n  ", "\\n",
        "\\u00",  "\xE4\xBD", "\xA0\xE5", "\xF0\x9F", "\x98\x80", "name",  "value", "id",   "\"a\"",
        "\"b\":", "e+",       "2024-",    "@",        "x1"})
    tokens.push_back(piece);
  tokens.insert(tokens.end(), more.begin(), more.end());
  std::vector<bool> special(tokens.size(), false);
  for (const char* name : {"<call>", "</call>", "<end>"}) {
    tokens.push_back(name);
    special.push_back(true);
  }
  const auto end = static_cast<int32_t>(tokens.size() - 1);
  return std::make_shared<TokenVocabulary>(std::move(tokens), std::vector<int32_t>{end}, special);
}

inline std::shared_ptr<const TokenVocabulary> standard_vocabulary() {
  static const auto out = vocabulary();
  return out;
}

inline GrammarSpec spec(Kind kind, std::string text) {
  GrammarSpec out;
  out.kind = kind;
  out.text = std::move(text);
  return out;
}

inline std::shared_ptr<const CompiledGrammar> compile(const GrammarSpec& spec) {
  return GrammarCompiler(standard_vocabulary()).compile(spec);
}

inline bool matches(const std::shared_ptr<const CompiledGrammar>& grammar,
                    const std::string& text) {
  GrammarMatcher matcher(grammar);
  return matcher.accept_text(text) && matcher.can_end();
}
inline bool matches(Kind kind, const std::string& grammar, const std::string& text) {
  return matches(compile(spec(kind, grammar)), text);
}

// The message of the error, "" without one.
inline std::string error_of(const GrammarSpec& spec) {
  try {
    compile(spec);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "";
}
inline std::string error_of(Kind kind, const std::string& text) {
  return error_of(spec(kind, text));
}

inline std::vector<int32_t> allowed_tokens(GrammarMatcher& matcher, const TokenVocabulary& tokens) {
  std::vector<uint32_t> mask(tokens.mask_words());
  matcher.mask(mask);
  std::vector<int32_t> out;
  for (int32_t t = 0; t < tokens.size(); t++)
    if (mask[static_cast<size_t>(t) / 32] >> t % 32 & 1) out.push_back(t);
  return out;
}

// A random text through masks; "" and a failure when it does not end within `limit` tokens. The end
// is taken with probability 1/2 where it may be, so that texts are short.
inline std::string random_text(const std::shared_ptr<const CompiledGrammar>& grammar,
                               const TokenVocabulary& tokens, std::mt19937& random,
                               int limit = 3000) {
  GrammarMatcher matcher(grammar);
  std::string out;
  for (int i = 0; i < limit; i++) {
    const std::vector<int32_t> allowed = allowed_tokens(matcher, tokens);
    int32_t token = allowed[random() % allowed.size()];
    if (matcher.can_end() && (matcher.must_end() || random() % 2)) token = tokens.end_ids()[0];
    EXPECT_TRUE(matcher.accept(token)) << "token " << token << " behind " << out;
    if (matcher.ended()) return out;
    out += tokens.bytes(token);
  }
  ADD_FAILURE() << "no end: " << out.substr(0, 200);
  return "";
}

}  // namespace mica::grammar_test

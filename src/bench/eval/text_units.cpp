#include "bench/eval/text_units.h"

#include <algorithm>
#include <string>
#include <unordered_set>

#include "text/template/unicode.h"
#include "text/tokenizer/unicode.h"

namespace mica {
namespace {

struct Token {
  std::string_view text;  // between blanks
  bool begins_line = false;
};

std::vector<Token> tokens_of(std::string_view text) {
  std::vector<Token> tokens;
  bool line_begins = true;
  size_t begin = 0;
  const auto add = [&](size_t end) {
    if (end == begin) return;
    tokens.push_back({text.substr(begin, end - begin), line_begins});
    line_begins = false;
  };
  for (size_t at = 0; at < text.size();) {
    const size_t here = at;
    const char32_t c = jinja::next_code_point(text, at);
    if (!jinja::is_space(c)) continue;
    add(here);
    begin = at;
    if (c == '\n') line_begins = true;
  }
  add(text.size());
  return tokens;
}

char32_t last_character(std::string_view text) {
  size_t at = jinja::previous_code_point(text, text.size());
  return jinja::next_code_point(text, at);
}

// Quotes, brackets and Markdown's signs around words.
bool is_wrapping(char32_t c) {
  constexpr std::u32string_view kSigns = U"\"'()[]{}<>*_`~“”‘’«»「」『』";
  return kSigns.find(c) != std::u32string_view::npos;
}

std::string_view without_wrapping_behind(std::string_view text) {
  while (!text.empty() && is_wrapping(last_character(text)))
    text = text.substr(0, jinja::previous_code_point(text, text.size()));
  return text;
}

std::string_view without_wrapping_before(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t here = at;
    if (!is_wrapping(jinja::next_code_point(text, at))) return text.substr(here);
  }
  return "";
}

bool is_abbreviation(std::string_view word) {
  static const std::unordered_set<std::string> kNames = {
      "mr",  "mrs", "ms",   "dr",   "prof", "st",     "vs",   "e.g",  "i.e",  "eg",  "ie",
      "cf",  "no",  "vol",  "fig",  "al",   "approx", "dept", "gen",  "gov",  "sen", "rep",
      "rev", "hon", "capt", "col",  "sgt",  "lt",     "mt",   "ave",  "blvd", "jan", "feb",
      "mar", "apr", "aug",  "sept", "oct",  "nov",    "dec",  "ph.d", "pp"};
  return kNames.contains(jinja::to_lower(word));
}

// These end a sentence only when a capital follows, which the general rule looks at.
bool is_initial(std::string_view word) {
  size_t at = 0;
  return !word.empty() && jinja::is_upper(jinja::next_code_point(word, at)) && at == word.size() &&
         word != "I";
}

bool is_number(std::string_view word) {
  return !word.empty() &&
         std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// A full stop that ends no sentence.
bool is_inner_stop(const Token& token, std::string_view word) {
  word.remove_suffix(1);
  word = without_wrapping_before(word);
  return is_abbreviation(word) || is_initial(word) ||
         (token.begins_line && (is_number(word) || word.size() == 1));
}

enum class Stop { kNone, kPoint, kStrong };

Stop stop_of(char32_t c) {
  constexpr std::u32string_view kStrong = U"!?…。！？।؟۔";
  if (c == '.') return Stop::kPoint;
  return kStrong.find(c) != std::u32string_view::npos ? Stop::kStrong : Stop::kNone;
}

bool begins_lower(std::string_view token) {
  const std::string_view word = without_wrapping_before(token);
  size_t at = 0;
  return !word.empty() && jinja::is_lower(jinja::next_code_point(word, at));
}

bool has_capitals(std::string_view text) {
  for (size_t at = 0; at < text.size();)
    if (jinja::is_upper(jinja::next_code_point(text, at))) return true;
  return false;
}

// Chinese and Japanese end sentences without a blank behind the stop.
int64_t stops_inside(std::string_view token) {
  constexpr std::u32string_view kWide = U"。！？";
  int64_t count = 0;
  for (size_t at = 0; at < token.size();)
    if (kWide.find(jinja::next_code_point(token, at)) != std::u32string_view::npos &&
        at < token.size())
      ++count;
  return count;
}

}  // namespace

std::string_view stripped(std::string_view text) {
  return jinja::strip(text, nullptr, true, true);
}

std::vector<std::string_view> pieces_of(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> pieces;
  for (size_t at = 0;;) {
    const size_t end = text.find(separator, at);
    pieces.push_back(text.substr(at, end - at));
    if (end == std::string_view::npos) return pieces;
    at = end + separator.size();
  }
}

std::vector<std::string_view> lines_of(std::string_view text) {
  return pieces_of(text, "\n");
}

bool is_word_character(char32_t c) {
  return tok::is_rust_word(c);
}

int64_t count_words(std::string_view text) {
  int64_t words = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const bool word = is_word_character(jinja::next_code_point(text, at));
    if (word && !inside) ++words;
    inside = word;
  }
  return words;
}

int64_t count_capital_words(std::string_view text) {
  int64_t words = 0;
  for (const Token& token : tokens_of(text)) {
    bool upper = false, other = false;
    for (size_t at = 0; at < token.text.size();) {
      const char32_t c = jinja::next_code_point(token.text, at);
      if (jinja::is_upper(c))
        upper = true;
      else if (jinja::is_cased(c))
        other = true;
    }
    if (upper && !other) ++words;
  }
  return words;
}

int64_t count_sentences(std::string_view text) {
  const std::vector<Token> tokens = tokens_of(text);
  const bool capitals = has_capitals(text);
  int64_t sentences = 0;
  bool open = false;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view word = without_wrapping_behind(tokens[i].text);
    if (word.empty()) continue;
    open = true;
    sentences += stops_inside(word);
    const Stop stop = stop_of(last_character(word));
    if (stop == Stop::kNone) continue;
    const bool last = i + 1 == tokens.size();
    if (!last && stop == Stop::kPoint && is_inner_stop(tokens[i], word)) continue;
    if (!last && capitals && begins_lower(tokens[i + 1].text)) continue;
    ++sentences;
    open = false;
  }
  return sentences + (open ? 1 : 0);
}

}  // namespace mica

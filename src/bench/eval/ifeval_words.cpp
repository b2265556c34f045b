#include <fmt/format.h>

#include <algorithm>

#include "bench/eval/ifeval_checks.h"
#include "bench/eval/text_units.h"
#include "bench/outputs/language.h"
#include "text/template/unicode.h"

namespace mica::ifeval {
namespace {

int64_t count_text(std::string_view text, std::string_view wanted) {
  return static_cast<int64_t>(pieces_of(text, wanted).size()) - 1;
}

bool word_at(std::string_view text, size_t at) {
  return is_word_character(jinja::next_code_point(text, at));
}
bool word_before(std::string_view text, size_t at) {
  return at > 0 && word_at(text, jinja::previous_code_point(text, at));
}

// As a word of its own: "can" is not in "candle".
bool has_word(std::string_view text, std::string_view word) {
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    const bool begins = !word_at(word, 0) || !word_before(text, at);
    const bool ends = !word_before(word, word.size()) || end == text.size() || !word_at(text, end);
    if (begins && ends) return true;
  }
  return false;
}

// All letters that have a case are upper, or lower, and there is one.
bool all_cased_are(std::string_view text, bool (*right)(char32_t)) {
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = jinja::next_code_point(text, at);
    if (!jinja::is_cased(c)) continue;
    if (!right(c)) return false;
    any = true;
  }
  return any;
}

std::string not_english(std::string_view answer) {
  return may_be_language(answer, "en") ? "" : "the answer is not English";
}

}  // namespace

std::string existence(std::string_view answer, const Arguments& arguments) {
  const std::string text = jinja::to_lower(answer);
  for (const std::string& keyword : arguments.texts)
    if (text.find(jinja::to_lower(keyword)) == std::string::npos)
      return fmt::format("'{}' is missing", keyword);
  return "";
}

std::string frequency(std::string_view answer, const Arguments& arguments) {
  const std::string& keyword = arguments.texts[0];
  const int64_t found = count_text(jinja::to_lower(answer), jinja::to_lower(keyword));
  return wrong_count(found, arguments, fmt::format("times '{}'", keyword).c_str());
}

std::string forbidden_words(std::string_view answer, const Arguments& arguments) {
  const std::string text = jinja::to_lower(answer);
  for (const std::string& word : arguments.texts)
    if (has_word(text, jinja::to_lower(word))) return fmt::format("has the word '{}'", word);
  return "";
}

std::string letter_frequency(std::string_view answer, const Arguments& arguments) {
  const std::string& letter = arguments.texts[0];
  const int64_t found = count_text(jinja::to_lower(answer), jinja::to_lower(letter));
  return wrong_count(found, arguments, fmt::format("times '{}'", letter).c_str());
}

std::string response_language(std::string_view answer, const Arguments& arguments) {
  const std::string& wanted = arguments.texts[0];
  if (may_be_language(answer, wanted)) return "";
  return fmt::format("language: found {}, expected {}",
                     detect_language(answer).value_or("another script"), wanted);
}

std::string number_sentences(std::string_view answer, const Arguments& arguments) {
  return wrong_count(count_sentences(answer), arguments, "sentences");
}

std::string number_words(std::string_view answer, const Arguments& arguments) {
  return wrong_count(count_words(answer), arguments, "words");
}

std::string capital_word_frequency(std::string_view answer, const Arguments& arguments) {
  return wrong_count(count_capital_words(answer), arguments, "words in capitals");
}

std::string english_capital(std::string_view answer, const Arguments&) {
  if (!all_cased_are(answer, jinja::is_upper)) return "not all letters are capitals";
  return not_english(answer);
}

std::string english_lowercase(std::string_view answer, const Arguments&) {
  if (!all_cased_are(answer, jinja::is_lower)) return "has capitals";
  return not_english(answer);
}

std::string no_comma(std::string_view answer, const Arguments&) {
  const int64_t commas = std::count(answer.begin(), answer.end(), ',');
  return commas == 0 ? "" : fmt::format("found {} commas", commas);
}

}  // namespace mica::ifeval

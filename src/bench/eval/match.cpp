#include "bench/eval/match.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "bench/eval/text_units.h"
#include "text/template/unicode.h"

namespace mica {
namespace {

// Text for a message: its first characters on one line.
std::string shown(std::string_view text) {
  constexpr size_t kMost = 60;
  text = stripped(text);
  size_t end = std::min(text.size(), kMost);
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  std::string out(text.substr(0, end));
  std::replace(out.begin(), out.end(), '\n', ' ');
  return "'" + out + (end < text.size() ? "…'" : "'");
}

bool is_word(std::string_view text, size_t at) {
  return is_word_character(jinja::next_code_point(text, at));
}

std::string folded(std::string_view text, bool ignore_case) {
  return ignore_case ? jinja::fold_case(text) : std::string(text);
}

MatchResult match_text(const Expected& expected, std::string_view answer) {
  const bool whole = expected.match == MatchKind::kExact;
  const std::string text = folded(stripped(answer), expected.ignore_case);
  for (const std::string& wanted : expected.texts) {
    const std::string right = folded(stripped(wanted), expected.ignore_case);
    if (whole ? text == right : text.find(right) != std::string::npos) return {true, ""};
  }
  return {false,
          fmt::format("found {}, expected {}{}{}", shown(answer), whole ? "" : "it to contain ",
                      shown(expected.texts[0]), expected.texts.size() > 1 ? " or another" : "")};
}

MatchResult match_number(const Expected& expected, std::string_view answer) {
  const auto found = find_answer_number(answer);
  const std::string wanted = expected.number.text();
  if (!found) return {false, fmt::format("found no number, expected {}", wanted)};
  const bool right =
      found->value == expected.number ||
      (expected.tolerance > 0 &&
       std::abs(found->value.value() - expected.number.value()) <= expected.tolerance);
  const std::string where = fmt::format("{} ({})", found->value.text(), name(found->place));
  return {right, right ? where : fmt::format("found {}, expected {}", where, wanted)};
}

MatchResult match_choice(const Expected& expected, std::string_view answer) {
  const auto found = find_choice(answer, expected.choices);
  const char wanted = choice_letter(expected.choice);
  if (!found)
    return {false, fmt::format("found no choice in {}, expected {}", shown(answer), wanted)};
  if (*found == expected.choice) return {true, ""};
  return {false, fmt::format("found {}, expected {}", choice_letter(*found), wanted)};
}

MatchResult match_pattern(const Expected& expected, std::string_view answer) {
  switch (expected.pattern->search(answer)) {
    case Pattern::Result::kFound: return {true, ""};
    case Pattern::Result::kNotFound:
      return {false,
              fmt::format("'{}' does not match {}", expected.pattern->text(), shown(answer))};
    case Pattern::Result::kTooLong:
      return {false, fmt::format("'{}' was given up: too many steps", expected.pattern->text())};
  }
  MICA_CHECK(false);
}

// A capital alone at `at` that names one of `count` choices.
std::optional<size_t> letter_at(std::string_view text, size_t at, size_t count) {
  if (at >= text.size() || text[at] < 'A' || text[at] >= choice_letter(count)) return std::nullopt;
  if (at + 1 < text.size() && is_word(text, at + 1)) return std::nullopt;
  return static_cast<size_t>(text[at] - 'A');
}

size_t skip(std::string_view text, size_t at, std::string_view what) {
  return std::min(text.find_first_not_of(what, at), text.size());
}

// "The answer is **(B)**", "Answer: B".
std::optional<size_t> behind_answer(std::string_view text, size_t count) {
  const std::string lower = jinja::to_lower(text);
  if (lower.size() != text.size()) return std::nullopt;
  for (size_t at = lower.rfind("answer"); at != std::string::npos;
       at = at == 0 ? std::string::npos : lower.rfind("answer", at - 1)) {
    size_t begin = skip(text, at + 6, " :*\n");
    for (const std::string_view word : {"is", "would be", "option", "choice"})
      if (lower.compare(begin, word.size(), word) == 0)
        begin = skip(text, begin + word.size(), " :*\n");
    begin = skip(text, begin, " :*([\"'$");
    if (text.substr(begin).starts_with("\\boxed{")) begin += 7;
    if (const auto letter = letter_at(text, begin, count)) return letter;
  }
  return std::nullopt;
}

std::optional<size_t> boxed_letter(std::string_view text, size_t count) {
  const size_t at = text.rfind("\\boxed{");
  if (at == std::string_view::npos) return std::nullopt;
  size_t begin = at + 7;
  if (text.substr(begin).starts_with("\\text{")) begin += 6;
  return letter_at(text, skip(text, begin, " ("), count);
}

// "B. Paris", "(B) Paris" on the first or the last line.
std::optional<size_t> line_letter(std::string_view text, size_t count) {
  const std::vector<std::string_view> lines = lines_of(stripped(text));
  for (const std::string_view line : {lines.front(), lines.back()}) {
    const size_t begin = skip(line, 0, " *(");
    const auto letter = letter_at(line, begin, count);
    if (!letter) continue;
    const size_t end = skip(line, begin + 1, "*");
    if (end == line.size() || line[end] == '.' || line[end] == ')' || line[end] == ':')
      return letter;
  }
  return std::nullopt;
}

std::optional<size_t> only_text(std::string_view text, const std::vector<std::string>& choices) {
  const std::string answer = jinja::fold_case(text);
  std::optional<size_t> found;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (answer.find(jinja::fold_case(choices[i])) == std::string::npos) continue;
    if (found) return std::nullopt;
    found = i;
  }
  return found;
}

}  // namespace

MatchResult match_answer(const Expected& expected, std::string_view answer) {
  switch (expected.match) {
    case MatchKind::kExact:
    case MatchKind::kContains: return match_text(expected, answer);
    case MatchKind::kNumber: return match_number(expected, answer);
    case MatchKind::kChoice: return match_choice(expected, answer);
    case MatchKind::kRegex: return match_pattern(expected, answer);
  }
  MICA_CHECK(false);
}

std::optional<size_t> find_choice(std::string_view answer,
                                  const std::vector<std::string>& choices) {
  std::string_view text = stripped(answer);
  if (text.empty()) return std::nullopt;
  // The letter and nothing else, in any case.
  std::string bare;
  for (const char c : text)
    if (std::string_view("*()[].:\"' $").find(c) == std::string_view::npos) bare += c;
  if (bare.size() == 1) {
    bare[0] = bare[0] >= 'a' && bare[0] <= 'z' ? static_cast<char>(bare[0] - 32) : bare[0];
    if (const auto letter = letter_at(bare, 0, choices.size())) return letter;
  }
  if (const auto letter = boxed_letter(text, choices.size())) return letter;
  if (const auto letter = behind_answer(text, choices.size())) return letter;
  if (const auto letter = line_letter(text, choices.size())) return letter;
  return only_text(text, choices);
}

}  // namespace mica

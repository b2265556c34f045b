#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "bench/eval/ifeval_checks.h"
#include "bench/eval/text_units.h"
#include "text/template/unicode.h"

namespace mica::ifeval {
namespace {

std::vector<std::string_view> not_blank(const std::vector<std::string_view>& pieces) {
  std::vector<std::string_view> out;
  for (const std::string_view piece : pieces)
    if (const std::string_view text = stripped(piece); !text.empty()) out.push_back(text);
  return out;
}

std::string exactly(int64_t found, int64_t expected, const char* what) {
  if (found == expected) return "";
  return fmt::format("found {} {}, expected exactly {}", found, what, expected);
}

// Texts between `open` and `close` on one line that are not blank.
int64_t count_enclosed(std::string_view text, std::string_view open, std::string_view close) {
  int64_t count = 0;
  for (const std::string_view line : lines_of(text))
    for (size_t at = 0; (at = line.find(open, at)) != std::string_view::npos;) {
      const size_t begin = at + open.size(), end = line.find(close, begin);
      if (end == std::string_view::npos) break;
      if (!stripped(line.substr(begin, end - begin)).empty()) ++count;
      at = end + close.size();
    }
  return count;
}

// The pieces between lines or marks that separate them; a blank one in the middle counts as a
// missing piece: nothing.
std::vector<std::string_view> separated(std::string_view text, std::string_view mark) {
  std::vector<std::string_view> pieces = pieces_of(text, mark);
  if (!pieces.empty() && stripped(pieces.front()).empty()) pieces.erase(pieces.begin());
  if (!pieces.empty() && stripped(pieces.back()).empty()) pieces.pop_back();
  return pieces;
}

bool has_blank(const std::vector<std::string_view>& pieces) {
  return std::any_of(pieces.begin(), pieces.end(),
                     [](std::string_view piece) { return stripped(piece).empty(); });
}

// Its first word without quotes before and punctuation behind, in lower case.
std::string first_word(std::string_view paragraph) {
  std::string word;
  for (size_t at = 0; at < paragraph.size();) {
    const char32_t c = jinja::next_code_point(paragraph, at);
    constexpr std::u32string_view kQuotes = U"'\"“‘", kEnds = U".,?!'\"”’;:";
    if (word.empty() && kQuotes.find(c) != std::u32string_view::npos) continue;
    if (jinja::is_space(c) || kEnds.find(c) != std::u32string_view::npos) break;
    append_utf8(word, c);
  }
  return jinja::to_lower(word);
}

bool is_bullet(std::string_view line) {
  line = stripped(line);
  if (line.size() < 2 || (line[0] != '*' && line[0] != '-')) return false;
  return line[1] == ' ' || line[1] == '\t';
}

// Inside a code fence, if it has one around it.
std::string_view unfenced(std::string_view text) {
  constexpr std::string_view kFence = "```";
  text = stripped(text);
  if (text.starts_with(kFence)) {
    text.remove_prefix(kFence.size());
    if (jinja::to_lower(text.substr(0, 4)) == "json") text.remove_prefix(4);
  }
  if (text.ends_with(kFence)) text.remove_suffix(kFence.size());
  return stripped(text);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// "p.s." also as "p. s."; both in lower case.
bool has_marker(std::string_view text, std::string_view marker) {
  for (size_t begin = 0; begin < text.size(); ++begin) {
    size_t at = begin, m = 0;
    while (m < marker.size() && at < text.size()) {
      if (text[at] == marker[m])
        ++at, ++m;
      else if (text[at] == ' ' && m > 0 && marker[m - 1] == '.')
        ++at;
      else
        break;
    }
    if (m == marker.size()) return true;
  }
  return false;
}

}  // namespace

std::string number_paragraphs(std::string_view answer, const Arguments& arguments) {
  const auto paragraphs = separated(answer, "***");
  if (has_blank(paragraphs)) return "a paragraph between '***' is empty";
  return exactly(static_cast<int64_t>(paragraphs.size()), arguments.count, "paragraphs");
}

std::string nth_paragraph_first_word(std::string_view answer, const Arguments& arguments) {
  const auto paragraphs = not_blank(pieces_of(answer, "\n\n"));
  const auto count = static_cast<int64_t>(paragraphs.size());
  if (const std::string wrong = exactly(count, arguments.count, "paragraphs"); !wrong.empty())
    return wrong;
  if (arguments.nth > count) return fmt::format("there is no paragraph {}", arguments.nth);
  const std::string word = first_word(paragraphs[static_cast<size_t>(arguments.nth - 1)]);
  if (word == jinja::to_lower(arguments.texts[0])) return "";
  return fmt::format("paragraph {} begins with '{}', expected '{}'", arguments.nth, word,
                     arguments.texts[0]);
}

std::string number_placeholders(std::string_view answer, const Arguments& arguments) {
  return wrong_count(count_enclosed(answer, "[", "]"), arguments, "placeholders");
}

std::string postscript(std::string_view answer, const Arguments& arguments) {
  const std::string& marker = arguments.texts[0];
  if (has_marker(jinja::to_lower(answer), jinja::to_lower(marker))) return "";
  return fmt::format("'{}' is missing", marker);
}

std::string number_bullet_lists(std::string_view answer, const Arguments& arguments) {
  const std::vector<std::string_view> lines = lines_of(answer);
  return exactly(std::count_if(lines.begin(), lines.end(), is_bullet), arguments.count,
                 "bullet points");
}

std::string constrained_response(std::string_view answer, const Arguments&) {
  for (const char* option : {"My answer is yes.", "My answer is no.", "My answer is maybe."})
    if (answer.find(option) != std::string_view::npos) return "";
  return "none of 'My answer is yes.', '… no.', '… maybe.'";
}

std::string number_highlighted_sections(std::string_view answer, const Arguments& arguments) {
  // **bold** holds *bold* between empty *…*: each mark is looked for alone.
  int64_t found = 0;
  for (const std::string_view line : lines_of(answer)) {
    std::string rest(line);
    for (const std::string_view mark : {"**", "*"}) {
      for (size_t at = 0; (at = rest.find(mark, at)) != std::string::npos;) {
        const size_t begin = at + mark.size(), end = rest.find(mark, begin);
        if (end == std::string::npos) break;
        const std::string_view inside = std::string_view(rest).substr(begin, end - begin);
        // A blank behind the first mark: that one is a bullet.
        const bool plain = inside.find('*') == std::string_view::npos && !inside.starts_with(' ');
        if (plain && !stripped(inside).empty()) ++found;
        if (plain)
          rest.erase(at, end + mark.size() - at);
        else
          at = begin;
      }
    }
  }
  return wrong_count(found, arguments, "highlighted sections");
}

std::string multiple_sections(std::string_view answer, const Arguments& arguments) {
  const std::string& splitter = arguments.texts[0];
  int64_t found = 0;
  for (size_t at = 0; (at = answer.find(splitter, at)) != std::string_view::npos;) {
    at += splitter.size();
    std::string_view rest = answer.substr(at);
    if (rest.starts_with(' ')) rest.remove_prefix(1);
    if (!rest.empty() && is_digit(rest[0])) ++found;
  }
  return wrong_count(found, arguments, fmt::format("sections '{} N'", splitter).c_str());
}

std::string json_format(std::string_view answer, const Arguments&) {
  return nlohmann::json::accept(unfenced(answer)) ? "" : "the answer is no JSON";
}

std::string title(std::string_view answer, const Arguments&) {
  return count_enclosed(answer, "<<", ">>") > 0 ? "" : "no title in '<<' and '>>'";
}

std::string two_responses(std::string_view answer, const Arguments&) {
  const auto responses = separated(answer, "******");
  if (has_blank(responses)) return "a response between '******' is empty";
  if (responses.size() != 2)
    return exactly(static_cast<int64_t>(responses.size()), 2, "responses between '******'");
  return stripped(responses[0]) == stripped(responses[1]) ? "the two responses are the same" : "";
}

std::string repeat_prompt(std::string_view answer, const Arguments& arguments) {
  const std::string prompt = jinja::to_lower(stripped(arguments.texts[0]));
  if (jinja::to_lower(stripped(answer)).starts_with(prompt)) return "";
  return "it does not begin with the request";
}

std::string end_checker(std::string_view answer, const Arguments& arguments) {
  std::string_view text = stripped(answer);
  while (text.ends_with('"')) text.remove_suffix(1);
  const std::string phrase = jinja::to_lower(stripped(arguments.texts[0]));
  if (jinja::to_lower(text).ends_with(phrase)) return "";
  return fmt::format("it does not end with '{}'", arguments.texts[0]);
}

std::string quotation(std::string_view answer, const Arguments&) {
  const std::string_view text = stripped(answer);
  if (text.size() > 1 && text.front() == '"' && text.back() == '"') return "";
  return "no double quotation marks around it";
}

}  // namespace mica::ifeval

#include "bench/eval/ifeval.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/eval/ifeval_checks.h"
#include "bench/eval/text_units.h"

namespace mica {
namespace {

using namespace ifeval;

constexpr InstructionType kTypes[] = {
    {"keywords:existence", "keywords", nullptr, nullptr, nullptr, true, existence},
    {"keywords:frequency", "keyword", "frequency", "relation", nullptr, false, frequency},
    {"keywords:forbidden_words", "forbidden_words", nullptr, nullptr, nullptr, true,
     forbidden_words},
    {"keywords:letter_frequency", "letter", "let_frequency", "let_relation", nullptr, false,
     letter_frequency},
    {"language:response_language", "language", nullptr, nullptr, nullptr, false, response_language},
    {"length_constraints:number_paragraphs", nullptr, "num_paragraphs", nullptr, nullptr, false,
     number_paragraphs},
    {"length_constraints:number_words", nullptr, "num_words", "relation", nullptr, false,
     number_words},
    {"length_constraints:number_sentences", nullptr, "num_sentences", "relation", nullptr, false,
     number_sentences},
    {"length_constraints:nth_paragraph_first_word", "first_word", "num_paragraphs", nullptr,
     "nth_paragraph", false, nth_paragraph_first_word},
    {"detectable_content:postscript", "postscript_marker", nullptr, nullptr, nullptr, false,
     postscript},
    {"detectable_content:number_placeholders", nullptr, "num_placeholders", nullptr, nullptr, false,
     number_placeholders},
    {"detectable_format:number_bullet_lists", nullptr, "num_bullets", nullptr, nullptr, false,
     number_bullet_lists},
    {"detectable_format:title", nullptr, nullptr, nullptr, nullptr, false, title},
    {"detectable_format:constrained_response", nullptr, nullptr, nullptr, nullptr, false,
     constrained_response},
    {"detectable_format:number_highlighted_sections", nullptr, "num_highlights", nullptr, nullptr,
     false, number_highlighted_sections},
    {"detectable_format:multiple_sections", "section_spliter", "num_sections", nullptr, nullptr,
     false, multiple_sections},
    {"detectable_format:json_format", nullptr, nullptr, nullptr, nullptr, false, json_format},
    {"combination:repeat_prompt", "prompt_to_repeat", nullptr, nullptr, nullptr, false,
     repeat_prompt},
    {"combination:two_responses", nullptr, nullptr, nullptr, nullptr, false, two_responses},
    {"change_case:english_capital", nullptr, nullptr, nullptr, nullptr, false, english_capital},
    {"change_case:english_lowercase", nullptr, nullptr, nullptr, nullptr, false, english_lowercase},
    {"change_case:capital_word_frequency", nullptr, "capital_frequency", "capital_relation",
     nullptr, false, capital_word_frequency},
    {"startend:end_checker", "end_phrase", nullptr, nullptr, nullptr, false, end_checker},
    {"startend:quotation", nullptr, nullptr, nullptr, nullptr, false, quotation},
    {"punctuation:no_comma", nullptr, nullptr, nullptr, nullptr, false, no_comma},
};
static_assert(std::size(kTypes) == 25);

std::string without_asterisks(std::string_view text) {
  std::string out(text);
  std::erase(out, '*');
  return out;
}

}  // namespace

namespace ifeval {

std::string wrong_count(int64_t found, const Arguments& arguments, const char* what) {
  if ((found >= arguments.count) == arguments.at_least) return "";
  return fmt::format("found {} {}, expected {} {}", found, what,
                     arguments.at_least ? "at least" : "less than", arguments.count);
}

}  // namespace ifeval

std::span<const InstructionType> instruction_types() {
  return kTypes;
}

const InstructionType* find_instruction_type(std::string_view id) {
  const auto* found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                   [&](const InstructionType& type) { return id == type.id; });
  return found == std::end(kTypes) ? nullptr : found;
}

std::vector<std::string> loose_forms(std::string_view answer) {
  std::string_view whole = answer, no_first, no_last, inner;
  const size_t first = answer.find('\n'), last = answer.rfind('\n');
  if (first != std::string_view::npos) {
    no_first = stripped(answer.substr(first + 1));
    no_last = stripped(answer.substr(0, last));
    if (first < last) inner = stripped(answer.substr(first + 1, last - first - 1));
  }
  std::vector<std::string> forms;
  for (const std::string_view form : {whole, no_first, no_last, inner}) {
    forms.emplace_back(form);
    forms.push_back(without_asterisks(form));
  }
  return forms;
}

InstructionVerdict judge(const Instruction& instruction, std::string_view answer) {
  const auto fault = [&](std::string_view text) -> std::string {
    if (stripped(text).empty()) return "no text";
    return instruction.type->check(text, instruction.arguments);
  };
  InstructionVerdict verdict;
  verdict.why = fault(answer);
  verdict.strict = verdict.loose = verdict.why.empty();
  if (verdict.strict) return verdict;
  for (const std::string& form : loose_forms(answer))
    if (fault(form).empty()) {
      verdict.loose = true;
      break;
    }
  return verdict;
}

}  // namespace mica

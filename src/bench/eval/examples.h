// What is said to a model around a question.
#pragma once

#include <span>
#include <string_view>

namespace mica {

struct WorkedExample {
  const char *question, *answer;  // the answer ends with "#### N"
};
// Three word problems of Mica's own, in the form of GSM8K.
std::span<const WorkedExample> worked_examples();

// Stands behind a GSM8K question.
inline constexpr std::string_view kNumberRequest =
    "Think step by step. Then give the result on the last line, after '####', as a number without "
    "a unit.";
// Stands behind a list of choices.
inline constexpr std::string_view kLetterRequest = "Answer with the letter of the right choice.";

}  // namespace mica

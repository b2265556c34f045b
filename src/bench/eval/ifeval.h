// The 25 kinds of verifiable instructions of J. Zhou et al., "Instruction-Following Evaluation for
// Large Language Models", 2023 (arXiv:2311.07911, table 3), checked after their descriptions there
// and in the data set. docs/eval.md says how each is read.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

// What an instruction's kind leaves open.
struct InstructionArguments {
  std::vector<std::string> texts;  // keywords, a phrase, a language …
  int64_t count = 0;
  bool at_least = true;  // false: less than `count`
  int64_t nth = 0;       // from 1
};

// What is wrong with an answer that is not empty; empty = it follows the instruction.
using InstructionCheck = std::string (*)(std::string_view answer, const InstructionArguments&);

struct InstructionType {
  const char* id;  // "keywords:existence"
  // Keys of the data set's `kwargs` that hold the arguments; null = it has none.
  const char *texts, *count, *relation, *nth;
  bool list;  // `texts` is a list, else one text
  InstructionCheck check;
};
std::span<const InstructionType> instruction_types();
const InstructionType* find_instruction_type(std::string_view id);

struct Instruction {
  const InstructionType* type = nullptr;
  InstructionArguments arguments;
};

struct InstructionVerdict {
  bool strict = false;  // the answer as it is
  bool loose = false;   // one of its loose forms
  std::string why;      // of not strict
};
InstructionVerdict judge(const Instruction& instruction, std::string_view answer);

// The answer, and without its asterisks, first line, last line, and both; the paper's eight forms.
std::vector<std::string> loose_forms(std::string_view answer);

}  // namespace mica

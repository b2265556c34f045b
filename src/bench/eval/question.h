// Questions with what makes an answer right, from files that the user has (docs/eval.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/client/request_body.h"
#include "bench/eval/ifeval.h"
#include "bench/eval/number.h"
#include "bench/eval/pattern.h"

namespace mica {

enum class QuestionKind {
  kGsm8k,    // {"question", "answer": "… #### N"}
  kIfeval,   // {"key", "prompt", "instruction_id_list", "kwargs"}
  kGeneric,  // {"prompt" | "messages", "answer", "choices", "match", …}
};
const char* name(QuestionKind kind);  // "gsm8k", "ifeval", "generic"

enum class MatchKind {
  kExact,     // the whole answer, without blanks around it
  kContains,  // somewhere in it
  kNumber,    // its number (number.h), within `tolerance`
  kChoice,    // the letter of a choice, or its text
  kRegex,     // a PCRE2 pattern is found in it
};
const char* name(MatchKind kind);  // "exact", "contains", "number", "choice", "regex"

// Of kinds kGsm8k and kGeneric.
struct Expected {
  MatchKind match = MatchKind::kExact;
  std::vector<std::string> texts;  // kExact, kContains: any of them
  bool ignore_case = false;
  Decimal number;
  double tolerance = 0;              // of kNumber, absolute
  std::vector<std::string> choices;  // at most 26
  size_t choice = 0;
  std::shared_ptr<const Pattern> pattern;
};

struct Question {
  std::string id;                     // unique in its set
  std::vector<ChatMessage> messages;  // the last is the user's
  std::string group;                  // for the break-down; or empty
  std::string prompt_hash;            // of the messages: 16 hex digits
  std::optional<Expected> expected;   // or
  std::vector<Instruction> instructions;
};

struct QuestionSet {
  QuestionKind kind = QuestionKind::kGeneric;
  std::string source;  // the file's name
  std::vector<Question> questions;
  // Of all prompts and right answers, in their order: 16 hex digits.
  std::string hash;
};

struct QuestionOptions {
  std::optional<QuestionKind> kind;  // none: by the first line's keys
  int32_t shots = 0;                 // of kGsm8k: worked examples before the question, at most 3
  std::string system;                // a system message before all; empty = none
};

// Throws Error(kUsage) with `source`, the line, what was expected and found.
QuestionSet parse_questions(std::string_view text, const std::string& source,
                            const QuestionOptions& options = {});
QuestionSet read_questions(const std::filesystem::path& path, const QuestionOptions& options = {});

// 'A', 'B' … of a choice.
inline char choice_letter(size_t choice) {
  return static_cast<char>('A' + choice);
}

}  // namespace mica

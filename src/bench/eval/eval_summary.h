// The figures of an eval, and how they are shown.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/eval/eval_file.h"
#include "bench/eval/run_eval.h"
#include "bench/statistics/proportion.h"

namespace mica {

struct EvalGroup {
  std::string name;  // an instruction's id, or a question's `group`
  Proportion strict, loose;
};

struct EvalSummary {
  EvalHead head;
  int64_t questions = 0;  // that were to be asked
  int64_t correct = 0, wrong = 0, truncated = 0, failed = 0;
  int64_t missing = 0;  // not asked yet
  int64_t cut = 0;      // answers that their budget ended
  // Of the questions that were answered; truncated ones count as not right.
  Proportion score;
  // IFEval: prompts of which all instructions are followed (`score` is the strict one), and
  // instructions.
  Proportion loose, instructions, instructions_loose;
  std::vector<EvalGroup> groups;                                       // by name
  int64_t prompt_tokens = 0, output_tokens = 0, reasoning_tokens = 0;  // where servers say them
  int64_t longest_output = 0;
  double seconds = 0;  // of summarize_eval()'s run; the caller adds earlier ones

  int64_t answered() const { return correct + wrong + truncated; }
  bool complete() const { return missing == 0 && failed == 0; }
  bool ifeval() const { return head.kind == name(QuestionKind::kIfeval); }
};

// `questions`: so many of the first were to be asked; 0 = all.
EvalSummary summarize_eval(const EvalHead& head, const QuestionSet& set, const EvalRun& run,
                           int64_t questions = 0);

// Seconds of the runs before, by the summary that they left, if it is of the eval that began then;
// 0 without one.
double earlier_seconds(const std::filesystem::path& summary, const std::string& started);

OrderedJson summary_json(const EvalSummary& summary);
std::string summary_text(const EvalSummary& summary);      // for a terminal
std::string summary_markdown(const EvalSummary& summary);  // a section

}  // namespace mica

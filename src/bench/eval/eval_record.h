// What came of one question: a line of an eval's file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/client/record.h"
#include "bench/eval/question.h"
#include "bench/results/json_node.h"

namespace mica {

enum class Outcome {
  kCorrect,
  kWrong,
  kTruncated,  // ended within its reasoning: there is no answer to judge
  kFailed,     // the request failed: nothing is known of the model
};
const char* name(Outcome outcome);  // "correct", "wrong", "truncated", "failed"

struct InstructionResult {
  std::string id;
  bool strict = false, loose = false;
  std::string why;  // of not strict
};

struct EvalRecord {
  std::string id, prompt_hash;  // of the question
  std::string status = "ok";    // name(RequestStatus)
  std::string error;            // of a failed request
  std::string answer;           // without its reasoning
  int64_t reasoning_bytes = 0;
  std::string finish_reason;
  int64_t prompt_tokens = RequestSample::kUnknown, completion_tokens = RequestSample::kUnknown;
  int64_t reasoning_tokens = RequestSample::kUnknown;
  double seconds = 0;      // from sending to the end
  double first_token = 0;  // seconds from sending; 0 = none came

  // score() fills these.
  Outcome outcome = Outcome::kFailed;
  bool loose = false;  // IFEval: all instructions in one of the loose forms; else as kCorrect
  std::string why;     // of all but a correct one, and where a number was found
  std::vector<InstructionResult> instructions;

  bool cut() const { return finish_reason == "length"; }  // by its budget of tokens
};

// An answer without its reasoning.
struct AnswerText {
  std::string answer, reasoning;
  bool truncated = false;  // it ended within the reasoning
};
// `reasoning`: what came as such. Where the server leaves it in the answer, the known markers
// (<think> … </think> and others) divide it.
AnswerText answer_text(const std::string& answer, const std::string& reasoning);

// Of a request that has ended; scored.
EvalRecord make_record(const Question& question, const RequestSample& request);

// Judges `answer` again: the outcome follows from the record and the question alone.
void score(const Question& question, bool truncated, EvalRecord& record);

OrderedJson record_json(const EvalRecord& record);
// Throws Error(kUsage) with the node's place.
EvalRecord read_record(const JsonNode& node);

}  // namespace mica

// The same few questions to every engine, greedily: are its answers answers, and are they those of
// the first engine? A fast but broken engine is found here.
#pragma once

#include <string>
#include <vector>

#include "bench/client/client.h"
#include "bench/outputs/agreement.h"
#include "bench/outputs/faults.h"
#include "bench/plan/plan.h"
#include "bench/statistics/checks.h"

namespace mica {

struct OutputCheck {
  std::string backend;
  std::vector<GreedyAnswer> answers;  // in the order of output_prompts()
  struct Found {
    size_t prompt;
    OutputFinding finding;
  };
  std::vector<Found> faults;
  std::vector<std::string> errors;  // of requests that failed: their answers are empty
  int64_t tokens = 0;               // that an answer might have
  int64_t unfinished = 0;           // answers that ended within their reasoning, for want of tokens
  int64_t asked_again = 0, changed = 0;  // the same prompt twice; of these, other answers
};

// Fixed; some in other scripts, one that asks for code, one for a list.
const std::vector<std::string>& output_prompts();

// A model that thinks gets so many times as many tokens.
inline constexpr int64_t kThinkingFactor = 8;
inline constexpr int64_t kCheckTokens = 48;

// Asks one after another. Log-probabilities are asked for, and gone without where the backend
// refuses the field. `client` has nothing else open. `tokens`: of an answer; when the first prompt
// shows that the model thinks, kThinkingFactor times as many for all.
OutputCheck check_outputs(Client& client, const LaunchPlan& plan, int64_t tokens = kCheckTokens);

// What a run of that backend carries. `reference` may be the check itself, or null.
std::vector<Mark> marks_of(const OutputCheck& check, const OutputCheck* reference);

// The answer in a whole answer's JSON, of any dialect; empty where there is none.
GreedyAnswer read_greedy_answer(const std::string& json);

}  // namespace mica

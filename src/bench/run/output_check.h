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
};

// Fixed; some in other scripts, one that asks for code, one for a list.
const std::vector<std::string>& output_prompts();

// Asks one after another. Log-probabilities are asked for, and gone without where the backend
// refuses the field. `client` has nothing else open.
OutputCheck check_outputs(Client& client, const LaunchPlan& plan, int64_t tokens = 48);

// What a run of that backend carries. `reference` may be the check itself, or null.
std::vector<Mark> marks_of(const OutputCheck& check, const OutputCheck* reference);

// The answer in a whole answer's JSON, of any dialect; empty where there is none.
GreedyAnswer read_greedy_answer(const std::string& json);

}  // namespace mica

// The cells of a matrix: models times backends times profiles, each with its plan.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/plan/locate.h"
#include "bench/run/matrix.h"
#include "cli/plan_inputs.h"
#include "text/text_model.h"

namespace mica {

// What the user wants started or asked. Lists that have "BACKEND=VALUE" hold for that backend,
// plain values for all.
struct CellInputs {
  PlanInputs plan;
  std::string models;                 // "a,b"; empty: what the server at a URL calls its only one
  std::vector<std::string> backends;  // "vllm", "llamacpp:MODEL" where one has another file
  std::vector<std::string> urls, keys, ports, images, versions;
};

// What the points need of an engine where nobody says more; 0: nothing.
struct CellNeeds {
  int64_t concurrency = 0, context = 0;
  int64_t longest = 0;  // prompt and answer of a request; 0: not known
};

// The tokenizers of the models, by folder.
class CellTexts {
 public:
  const TextModel* of(const ModelPlace& place);

 private:
  std::map<std::string, std::unique_ptr<TextModel>> texts_;
};

// Logs the plans' warnings. Throws Error(kUsage), also for a URL or another value of a backend that
// is not among them. `texts` outlives the cells.
std::vector<MatrixBackend> resolve_cells(const CellInputs& inputs, const CellNeeds& needs,
                                         CellTexts& texts);

}  // namespace mica

// The most prompt tokens a second that can be computed at all: faster ones came from a cache.
#pragma once

#include <string>
#include <vector>

#include "bench/plan/model_facts.h"
#include "bench/plan/request.h"

namespace mica {

struct PrefillLimit {
  double rate = 0;   // tokens/s; 0 = not known
  std::string from;  // how it was computed: "2 operations for each of …"
};

// `gpus`: those that the engine may use. Not known for a model that is not here, on the processor,
// and where one of the GPUs has no known peak.
PrefillLimit prefill_limit(const ModelFacts& model, const std::vector<PlanGpu>& gpus);

// Dense operations a second at the narrowest width that the tensor cores have, by NVIDIA's data
// sheets; 0 = not known. By a part of the name: "NVIDIA H100 80GB HBM3".
double peak_operations(const std::string& gpu_name);

}  // namespace mica

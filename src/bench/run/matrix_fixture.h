// For tests of the matrix: plans for scripted engines, small points, a store.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bench/run/matrix.h"
#include "fake_engine/engine.h"
#include "temp_folder.h"

namespace mica {

// A plan for a server that runs already.
inline LaunchPlan attached(const std::string& name, const std::string& url) {
  LaunchPlan plan;
  plan.backend = name;
  plan.mode = LaunchMode::kAttach;
  plan.url = url;
  plan.model.value = plan.served_name.value = "fake-model";
  plan.probes.health = "/health";
  plan.probes.models = "/v1/models";
  plan.dialect.ignore_eos = plan.dialect.stream_usage = true;
  plan.dialect.metrics = "/metrics";
  plan.dialect.metrics_dialect = "vllm";
  return plan;
}

inline fake::Script quick() {
  fake::Script script;
  script.timing.first_token_ms = 4;
  script.timing.interval_ms = 1;
  script.answer.text =
      "The sky is blue because air scatters short waves of light more than long ones.";
  return script;
}

inline BenchPoint small(const std::string& arrivals) {
  BenchPoint point;
  point.workload = {.input_tokens = 16, .output_tokens = 5};
  point.arrivals = parse_arrivals(arrivals);
  point.requests = 6;
  return point;
}

class MatrixTest : public testing::Test {
 protected:
  MatrixReport run(const std::vector<MatrixBackend>& backends,
                   const std::vector<BenchPoint>& points, MatrixOptions options = {}) {
    options.group = "test";
    options.launch.state_folder = folder_.path() / "state";
    options.launch.gpu_source = {.nvml_library = "", .smi = ""};
    return run_matrix(backends, points, store_, options,
                      [&](const MatrixProgress& progress) { seen_.push_back(progress.kind); });
  }

  TempFolder folder_;
  ResultStore store_{folder_.path() / "results"};
  std::vector<MatrixProgress::Kind> seen_;
};

inline const Mark* mark_of(const RunRecord& run, const std::string& code) {
  for (const Mark& mark : run.marks)
    if (mark.code == code) return &mark;
  return nullptr;
}

}  // namespace mica

// Backends times points times rounds, one load of a model for all points of a round.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "bench/launch/launcher.h"
#include "bench/results/store.h"
#include "bench/run/gpu_report.h"
#include "bench/run/measure.h"
#include "bench/run/output_check.h"
#include "bench/run/point.h"

namespace mica {

struct MatrixBackend {
  std::string label;  // "vllm Qwen3-8B fast", each another; empty: the backend's name
  std::string asked;  // the model's name as asked for: answers are compared among equal ones
  LaunchPlan plan;
  ModelRecord model;
  const TextModel* text = nullptr;  // of this backend's model; outlives the matrix
  std::string key;
  GpuExpectation gpu;
  GpuPlan gpu_plan;
  PrefillLimit prefill;
};

struct MatrixOptions {
  std::string group;  // of all runs; finished ones with the same point_key() are not measured again
  int32_t rounds = 1;  // odd ones go through the backends backwards, against drift
  double minutes = 0;  // no point begins later; 0 = no limit
  bool check_outputs = true;
  int64_t check_tokens = kCheckTokens;  // of an answer to the check's prompts
  // After the points, of each workload: twice the concurrency again and again, until it brings
  // less than 5 % more tokens a second, or the limits are not met any more.
  bool sweep = false;
  int32_t most_concurrency = 512;  // of the sweep
  MeasureOptions measure;
  LaunchOptions launch;
  Provenance provenance;  // of the machine
};

struct MatrixProgress {
  enum class Kind { kStep, kLog, kRequest, kRun, kProblem };
  Kind kind = Kind::kStep;
  std::string backend, text;
  const RequestSample* record = nullptr;  // kRequest
  const RunRecord* run = nullptr;         // kRun: it has ended
  int64_t done = 0, total = 0;            // requests of this point
};

// Where more requests at a time bring no more.
struct MatrixSweep {
  enum class End { kNoMore, kLimits, kMost };  // under 5 % more; limits not met; most_concurrency
  std::string backend, workload;
  int32_t concurrency = 0;  // of the most tokens a second with the limits met; 0: never met
  double throughput = 0;    // there, tokens/s
  End end = End::kMost;
  int32_t last = 0;  // the last concurrency that was tried
};
std::string describe(const MatrixSweep& sweep);

struct MatrixReport {
  std::vector<std::string> runs;  // ids, those that were there already among them
  int64_t reused = 0, left = 0;   // runs that were there; points that the time did not allow
  struct Problem {
    std::string backend, text;  // backend: its label
    int exit_status = 0;
  };
  std::vector<Problem> problems;
  std::vector<OutputCheck> outputs;
  std::vector<MatrixSweep> sweeps;
  std::vector<std::string> remarks;  // on all: where engines counted other prompts than each other
  bool interrupted = false;
  bool invalid = false;          // a run is marked so
  bool requests_failed = false;  // measured ones; the others are good
  // The gravest: 130 interrupted, of a backend 3 or 5, 6 of a measurement, 7 of requests; 0 when
  // all is well.
  static constexpr int kRequestsFailedStatus = 7;
  int exit_status() const;
};

using MatrixSink = std::function<void(const MatrixProgress&)>;

// A backend that does not start or dies is a problem of its own: the others go on.
MatrixReport run_matrix(const std::vector<MatrixBackend>& backends,
                        const std::vector<BenchPoint>& points, ResultStore& store,
                        const MatrixOptions& options, const MatrixSink& sink);

}  // namespace mica

// Measures one point on one engine that answers: empty cache, warm-up, load, checks, result.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "bench/client/client.h"
#include "bench/load/drive.h"
#include "bench/plan/plan.h"
#include "bench/results/store.h"
#include "bench/run/point.h"
#include "bench/run/prefill_limit.h"
#include "bench/statistics/goodput.h"
#include "bench/statistics/stop_rule.h"
#include "text/text_model.h"

namespace mica {

// The engine as the measuring sees it. All functions may be empty.
struct MeasureTarget {
  std::string url, key;
  const LaunchPlan* plan = nullptr;
  const TextModel* text = nullptr;  // null = no tokenizer is known: lengths are estimates
  PrefillLimit prefill;
  std::function<std::optional<std::string>()> failure;  // why it is dead; asked from a thread
  // What the engine does at this moment; asked when the first request has run out of time.
  std::function<std::string()> verdict;
  // After the load: marks of what ran where, and telemetry of [begin, end], run time of `client`.
  std::function<void(RunWriter& writer, std::chrono::steady_clock::time_point epoch, double begin,
                     double end)>
      observe;
};

struct MeasureProgress {
  enum class Kind { kStep, kRequest };
  Kind kind = Kind::kStep;
  std::string text;                       // kStep: "warm-up", "closed:8"
  const RequestSample* record = nullptr;  // kRequest: it has ended
  int64_t done = 0, total = 0;
};

struct MeasureOptions {
  WarmUpOptions warm_up;
  bool precise = false;  // end when the precision is reached, before all requests
  StopOptions precision;
  LatencyLimits limits;
  RequestDeadlines deadlines;
  JournalSync sync = JournalSync::kEachSecond;
  std::function<void(const MeasureProgress&)> progress;
  bool private_texts = false;  // no text of a prompt or an answer is written anywhere
  std::stop_token interrupt;   // what has ended is kept, as an interrupted run
};

// `head`: what is known before (plan, provenance, group); the workload is filled in here. Throws
// Error(kBackend) when not one warm-up request succeeds; the run is then kept as failed.
RunRecord measure(const MeasureTarget& target, const BenchPoint& point, RunRecord head,
                  ResultStore& store, const MeasureOptions& options);

}  // namespace mica

// All figures of a run, from its requests.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/client/record.h"
#include "bench/statistics/distribution.h"
#include "bench/statistics/goodput.h"

namespace mica {

struct RunSummary {
  double begin = 0, end = 0;  // of what was measured, seconds of the run's clock
  int64_t warmup = 0;         // requests before that
  int64_t requests = 0, finished = 0;
  // How many ended how, "ok" first; statuses that did not occur are left out.
  std::vector<std::pair<std::string, int64_t>> statuses;
  // Of finished requests; unknown counts add nothing.
  int64_t prompt_tokens = 0, output_tokens = 0, cached_tokens = 0;
  // By the names of run_metrics(), in its order; goodput where limits were given.
  std::vector<std::pair<std::string, double>> rates;
  // By the names of request_metrics(), in its order; those without a value are left out.
  std::vector<std::pair<std::string, Distribution>> figures;
  std::vector<double> output_slices;  // output tokens a second in equal slices of the time
  std::optional<Interval> output_throughput_interval;
  std::optional<Goodput> goodput;

  double duration() const { return end - begin; }
  std::optional<double> rate(std::string_view name) const;
  const Distribution* figure(std::string_view name) const;
};

struct SummaryOptions {
  LatencyLimits limits;
  uint64_t seed = 0;
};
RunSummary summarize(std::span<const RequestSample> records, const SummaryOptions& options = {});

// All values of a metric, of finished requests without warm-up, in the order of sending.
std::vector<double> values_of(std::span<const RequestSample> records, std::string_view metric);

// The most requests that were open at one moment; a request is open from `sent` until `ended`,
// and one that begins when another ends follows it.
int64_t peak_concurrency(std::span<const RequestSample> records);

}  // namespace mica

// Where more requests at a time bring no more, read from runs that differ in their concurrency
// alone.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/results/run_record.h"

namespace mica {

struct Saturation {
  std::string subject;        // "vllm 0.11.0, org/model fast, synthetic 512+128"
  int least = 0, most = 0;    // concurrency of closed loops that were measured
  int best = 0;               // with the most output tokens a second
  double throughput = 0;      // there, tokens/s
  std::optional<int> within;  // the highest that met its limits; 0: none did; nothing: no limits
  std::string text() const;
};

// Of each engine, model, profile and workload with three concurrencies or more; valid finished runs
// count, of several of one concurrency their mean. In the order of the runs.
std::vector<Saturation> saturations(const std::vector<RunRecord>& runs);

}  // namespace mica

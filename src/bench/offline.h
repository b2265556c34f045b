// Prefill and decode speed of a model without a server, in the manner of llama-bench.
#pragma once

#include <string>
#include <vector>

#include "bench/bandwidth.h"
#include "model/model.h"

namespace mica {

struct OfflineOptions {
  std::vector<int32_t> prompt = {512};   // tokens of each prefill test; 0 entries are skipped
  std::vector<int32_t> generate = {64};  // tokens of each decode test
  std::vector<int32_t> streams = {1};    // sequences at once
  int32_t depth = 0;                     // tokens already in the cache
  int32_t repetitions = 5;
  int32_t step_tokens = 512;  // prompt tokens at once
};

struct OfflineResult {
  std::string test;  // "pp512", "tg64", "tg64 x4", "pp512 @ d1024"
  int32_t streams = 1;
  double tokens_per_second = 0;      // mean over the repetitions, all streams together
  double deviation = 0;              // standard deviation of the sample
  std::vector<double> samples;       // tokens/s of each repetition
  double bytes_per_second = 0;       // weights and cache read; decode only
  double bandwidth_share = 0;        // of the probe; decode only
  double operations_per_second = 0;  // 2 per weight and token; prefill only
};

// Runs every test once as warm-up and then `repetitions` times. The bandwidth is probed before and
// after each decode test, so that the share compares neighbours in time.
std::vector<OfflineResult> run_offline(Backend& backend, Model& model, int threads,
                                       const OfflineOptions& options);

}  // namespace mica

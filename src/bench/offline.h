// Prefill and decode speed of a model without a server, in the manner of llama-bench.
#pragma once

#include <string>
#include <vector>

#include "bench/limits.h"
#include "model/model.h"
#include "ops/kv_quantization.h"

namespace mica {

struct OfflineOptions {
  std::vector<int32_t> prompt = {512};   // tokens of each prefill test; 0 entries are skipped
  std::vector<int32_t> generate = {64};  // tokens of each decode test
  std::vector<int32_t> streams = {1};    // sequences at once
  std::vector<int32_t> prompt_streams;   // the same for the prefill tests; empty: as `streams`
  int32_t depth = 0;                     // tokens already in the cache
  int32_t repetitions = 5;
  int32_t step_tokens = 512;  // prompt tokens of a sequence at once
  KvQuantOptions kv_quant;
  bool engine = false;  // decode also through the engine
};

struct OfflineResult {
  std::string test;  // "pp512", "tg64", "tg64 x4", "pp512 @ d1024 kv8", "engine64 x4"
  int32_t streams = 1;
  double tokens_per_second = 0;      // mean over the repetitions, all streams together
  double deviation = 0;              // standard deviation of the sample
  std::vector<double> samples;       // tokens/s of each repetition
  double bytes_per_second = 0;       // weights and cache read; decode only
  double bandwidth_share = 0;        // of the probe; decode only
  double operations_per_second = 0;  // 2 per weight and token
  double operations_share = 0;       // of the product peak

  // Decode only. A step is one token of every sequence.
  double step_seconds = 0;          // median, each step waited for
  double longest_step_seconds = 0;  // 99th percentile
  // Through the model alone: a step's time when all are queued and only the last is waited for, so
  // that the device never waits for the host unless the host is slower than it.
  double queued_step_seconds = 0;
  // What a step costs beyond that: here step_seconds - queued_step_seconds; for the engine the time
  // from the end of one step's work to the start of the next (its events, its plan).
  double gap_seconds = 0;
};

struct DeviceLimits {
  BandwidthProbe read;
  ProductPeak product;
};
DeviceLimits measure_limits(Backend& backend);

// Runs every test once as warm-up and then `repetitions` times. The bandwidth is probed before and
// after each decode test, so that the share compares neighbours in time.
std::vector<OfflineResult> run_offline(Backend& backend, Model& model, const DeviceLimits& limits,
                                       const OfflineOptions& options);

}  // namespace mica

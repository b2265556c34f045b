// What the scripted engine counted, and its page of metrics in the names of each dialect.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "fake_engine/asked.h"

namespace mica::fake {

class Times {  // a histogram of seconds
 public:
  static constexpr std::array<double, 9> kBounds = {0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1, 5, 30};
  void add(double seconds);
  double sum = 0;
  int64_t count = 0;
  std::array<int64_t, kBounds.size()> below{};  // cumulative, as on the page
};

// Of one engine; the page has a label set for each.
struct Counters {
  int64_t requests = 0, failed = 0;  // that ended
  int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  int64_t cache_queries = 0, cache_hits = 0;  // tokens
  int64_t running = 0, waiting = 0;
  Times first_token, inter_token, end_to_end, queue, prefill, decode;
};

// One step of TensorRT-LLM's list, made for each request that ended.
struct Iteration {
  int64_t context_tokens = 0, generated_tokens = 0;
  double latency_ms = 0;
};

std::string metrics_page(const Script& script, const std::vector<Counters>& engines);
// TensorRT-LLM's /metrics: JSON of the steps since the last reading.
std::string iterations_page(const std::vector<Counters>& engines,
                            const std::vector<Iteration>& iterations);

}  // namespace mica::fake

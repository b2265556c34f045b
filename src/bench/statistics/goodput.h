// Requests that were fast enough.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/client/record.h"

namespace mica {

// Seconds; a limit that is not there allows all.
struct LatencyLimits {
  std::string name;  // of the preset, or empty
  std::optional<double> ttft, tpot, e2e;
  bool any() const { return ttft || tpot || e2e; }
  friend bool operator==(const LatencyLimits&, const LatencyLimits&) = default;
};

// MLPerf Inference's limits for servers: TTFT and TPOT that 99 % of the requests keep.
struct LimitPreset {
  const char* name;  // "llama-3.1-8b", "llama-3.1-8b-interactive"
  double ttft_ms, tpot_ms;
};
std::span<const LimitPreset> limit_presets();

// "ttft:2000,tpot:100,e2e:30000" in milliseconds (",", " " between them), or a preset's name.
// Throws Error(kUsage) with what was expected.
LatencyLimits parse_limits(std::string_view text);
std::string to_string(const LatencyLimits& limits);  // "ttft 2000 ms, tpot 100 ms"
// As parse_limits() reads it: a preset's name, or "ttft:2000,tpot:100".
std::string to_flag(const LatencyLimits& limits);

// A finished request within every limit. TPOT counts as 0 with at most one token.
bool is_good(const RequestSample& record, const LatencyLimits& limits);

struct Goodput {
  LatencyLimits limits;
  int64_t good = 0;
  double rate = 0;   // good requests / duration
  double share = 0;  // of all requests, failed ones included
  // 99 % of the finished requests keep each limit and none failed, as MLPerf wants it.
  bool met = false;
};
// Warm-up does not count.
Goodput measure_goodput(std::span<const RequestSample> records, const LatencyLimits& limits,
                        double duration);

}  // namespace mica

// A run as `vllm bench serve` would report it, for comparing with that tool's results. Its
// definitions (vllm/benchmarks/serve.py, read 2026) differ from Mica's:
//   TTFT  to the first message with choices, also one that only names the role
//   ITL   between two messages with choices, undivided
//   E2EL  to the last message with choices, not to the end of the stream
//   TPOT  (E2EL - TTFT) / (output tokens - 1)
//   std   of the population (n)
//   peak  output: messages in the fullest second from the first request on; requests: open at once
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "bench/client/record.h"
#include "bench/statistics/goodput.h"

namespace mica {

// By that tool's names: "mean_ttft_ms", "p99_itl_ms", "request_throughput", … `duration` is its
// benchmark's: from the start of the main loop to the end of the last request.
std::map<std::string, double> vllm_view(std::span<const RequestSample> records, double duration,
                                        const LatencyLimits& limits = {});

}  // namespace mica

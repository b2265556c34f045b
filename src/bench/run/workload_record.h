// What a result keeps of the work that was asked.
#pragma once

#include <vector>

#include "bench/load/workload.h"
#include "bench/results/run_record.h"
#include "bench/run/point.h"

namespace mica {

// Of the user, a data set or a built-in set; else made, or known by their lengths alone.
bool has_texts(const BenchPoint& point);

// Of the texts so many bytes are kept; behind them, of each its hash and first part.
inline constexpr size_t kKeptTexts = size_t{64} << 10, kKeptPart = 80;

// `conversations`: the measured ones. All but the limits. `private_texts`: no text and no file's
// name; hashes and lengths alone.
WorkloadRecord workload_record(const BenchPoint& point, const PlanDialect& dialect,
                               const std::vector<Conversation>& conversations, bool private_texts);

// With a hash and the length in place of each text of the engine: "sha256:…, 42 bytes"; of an error
// the status alone.
RequestSample without_texts(RequestSample sample);

}  // namespace mica

// Whether an engine's own figures and the client's tell the same story.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bench/client/record.h"
#include "bench/metrics/engine_figures.h"

namespace mica {

// engine: between two readings, with no request open at either. records: all requests sent in
// between, warm-up included. One sentence for each disagreement; empty = none. tolerance: share of
// the larger figure.
std::vector<std::string> cross_check(const FigureDifference& engine,
                                     std::span<const RequestSample> records,
                                     double tolerance = 0.05);

}  // namespace mica

// Whether an engine's own figures and the client's tell the same story.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bench/client/record.h"
#include "bench/metrics/engine_figures.h"

namespace mica {

struct Disagreement {
  std::string text;    // one sentence
  bool gross = false;  // counts of tokens or requests of which one is over 1.5 times the other
  friend bool operator==(const Disagreement&, const Disagreement&) = default;
};

// Shares of the larger figure. Less than 5 ms of a first token and 0.5 ms of a later one is never
// a disagreement.
struct CrossTolerance {
  double counts = 0.05;
  double times = 0.2;  // a mean of the client has the network and the server's parsing in it
};

// engine: between two readings, with no request open at either. records: all requests sent in
// between, warm-up included.
std::vector<Disagreement> cross_check(const FigureDifference& engine,
                                      std::span<const RequestSample> records,
                                      const CrossTolerance& tolerance = {});

}  // namespace mica

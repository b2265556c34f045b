// Perplexity and divergence as text and JSON.
#pragma once

#include <optional>
#include <string>

#include "bench/eval/perplexity.h"
#include "bench/results/json_node.h"

namespace mica {

struct PerplexityReport {
  std::string text, model, reference;  // a file's, and names of models; reference: may be empty
  WindowOptions windows;
  int64_t bytes = 0;  // of the predicted tokens' text
  double seconds = 0;
  // One of them.
  std::optional<Perplexity> perplexity;
  std::optional<Divergence> divergence;
};

std::string report_text(const PerplexityReport& report);
OrderedJson report_json(const PerplexityReport& report);

}  // namespace mica

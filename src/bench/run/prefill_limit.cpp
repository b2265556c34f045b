#include "bench/run/prefill_limit.h"

#include <fmt/format.h>

#include "bench/statistics/checks.h"

namespace mica {
namespace {

struct Peak {
  const char* name;
  double operations;
};

// Without sparsity: FP4 of Blackwell, FP8 of Hopper and Ada, INT8 of Ampere and Turing. Of several
// forms of a card the fastest counts. The first whose name is in the GPU's holds.
constexpr Peak kPeaks[] = {
    {"B300", 15e15},        {"B200", 10e15},       {"RTX PRO 6000 Blackwell", 2.02e15},
    {"RTX 5090", 1.68e15},  {"H200", 1.98e15},     {"H100", 1.98e15},
    {"GH200", 1.98e15},     {"L40S", 0.733e15},    {"RTX 6000 Ada", 0.73e15},
    {"RTX 4090", 0.661e15}, {"L40", 0.363e15},     {"L4", 0.243e15},
    {"A100", 0.624e15},     {"A10G", 0.28e15},     {"A10", 0.25e15},
    {"RTX A6000", 0.31e15}, {"RTX 3090", 0.32e15}, {"T4", 0.13e15},
};

}  // namespace

double peak_operations(const std::string& gpu_name) {
  for (const Peak& peak : kPeaks)
    if (gpu_name.find(peak.name) != gpu_name.npos) return peak.operations;
  return 0;
}

PrefillLimit prefill_limit(const ModelFacts& model, const std::vector<PlanGpu>& gpus) {
  double operations = 0;
  for (const PlanGpu& gpu : gpus) {
    const double peak = peak_operations(gpu.name);
    if (peak <= 0) return {};
    operations += peak;
  }
  const auto parameters = static_cast<double>(model.prefill_parameters);
  const double rate = plausible_prefill_rate(parameters, operations);
  if (rate <= 0) return {};
  return {rate,
          fmt::format("2 operations for each of {:.3g} parameters that a token of a prompt uses, "
                      "{:.3g} a second at the dense peak of {}{}",
                      parameters, operations,
                      gpus.size() > 1 ? fmt::format("{}x ", gpus.size()) : "", gpus.front().name)};
}

}  // namespace mica

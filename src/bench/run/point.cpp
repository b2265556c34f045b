#include "bench/run/point.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/spelling.h"

namespace mica {

int64_t BenchPoint::conversations() const {
  if (requests > 0) return requests;
  if (items) return static_cast<int64_t>(items->size());
  return std::max<int64_t>(10, int64_t{10} * arrivals.concurrency);
}

std::string BenchPoint::workload_name() const {
  if (items) return items_name;
  if (!workload.prompts.empty())
    return fmt::format("{}+{}", counted(static_cast<int64_t>(workload.prompts.size()), "prompt"),
                       workload.output_tokens);
  std::string out = fmt::format("synthetic {}+{}", workload.input_tokens, workload.output_tokens);
  if (workload.depth > 0) out += fmt::format(" depth {}", workload.depth);
  if (workload.spread > 0) out += fmt::format(" spread {}", workload.spread);
  if (workload.turns > 1) out += fmt::format(" x{} turns", workload.turns);
  if (workload.shared_tokens > 0)
    out += fmt::format(" shared {} in {} groups", workload.shared_tokens, workload.shared_groups);
  if (!workload.chat) out += " text";
  return out;
}

std::string BenchPoint::name() const {
  return workload_name() + ", " + to_string(arrivals);
}

std::vector<BenchPoint> grid(const std::vector<BenchPoint>& workloads,
                             const std::vector<ArrivalOptions>& arrivals) {
  std::vector<BenchPoint> points;
  for (const BenchPoint& workload : workloads)
    for (const ArrivalOptions& arrival : arrivals) {
      points.push_back(workload);
      points.back().arrivals = arrival;
    }
  return points;
}

}  // namespace mica

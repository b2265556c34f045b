#include "bench/report/details.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "bench/report/table.h"

namespace mica {
namespace {

// One value of a run, not one a request: those are of other programs' results.
bool is_total(const SeriesRecord& series) {
  return series.values.size() == 1 && series.times.empty();
}

std::string words(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

std::string value_text(const SeriesRecord& series) {
  const double value = series.values[0];
  if (series.unit == "s") return milliseconds_text(value) + " ms";
  if (series.unit == "share") return fmt::format("{:.1f} %", 100 * value);
  return fmt::format("{:.0f}", value);
}

void add_engine_figures(const RunRecord& run, std::vector<std::string>& out) {
  std::string source, line;
  const auto end_line = [&] {
    if (!line.empty()) out.push_back(fmt::format("the engine's own ({}): {}", source, line));
    line.clear();
  };
  for (const SeriesRecord& series : run.server) {
    if (!is_total(series)) continue;
    if (series.source != source) end_line();
    source = series.source;
    line +=
        fmt::format("{}{} {}", line.empty() ? "" : ", ", words(series.name), value_text(series));
  }
  end_line();
}

std::string gib(int64_t mib) {
  return fmt::format("{:.1f} GiB", static_cast<double>(mib) / 1024);
}

std::string gpu_text(const GpuUseRecord& gpu) {
  std::vector<std::string> parts;
  if (gpu.peak_memory > 0) {
    parts.push_back(gib(gpu.peak_memory) + " of memory at most");
    if (gpu.peak_own_memory > 0)
      parts.back() += fmt::format(", {} of the engine", gib(gpu.peak_own_memory));
  }
  if (gpu.mean_busy > 0) parts.push_back(fmt::format("busy {:.0f} %", gpu.mean_busy));
  if (gpu.mean_power > 0) parts.push_back(fmt::format("{:.0f} W in the mean", gpu.mean_power));
  if (gpu.max_temperature > 0)
    parts.push_back(fmt::format("{:.0f} °C in the mean, {} at most", gpu.mean_temperature,
                                gpu.max_temperature));
  if (gpu.max_sm_clock > 0)
    parts.push_back(fmt::format("SM {} to {} MHz", gpu.min_sm_clock, gpu.max_sm_clock));
  if (!gpu.slowdown.empty()) parts.push_back("slowed down by: " + gpu.slowdown);
  return fmt::format("GPU {} ({}): {}", gpu.index, gpu.name, fmt::join(parts, "; "));
}

}  // namespace

std::vector<std::string> details_of(const RunRecord& run) {
  std::vector<std::string> out;
  for (const GpuUseRecord& gpu : run.gpu_use) out.push_back(gpu_text(gpu));
  add_engine_figures(run, out);
  return out;
}

}  // namespace mica

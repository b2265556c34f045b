#include "bench/report/details.h"

#include <fmt/format.h>

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

}  // namespace

std::vector<std::string> details_of(const RunRecord& run) {
  std::vector<std::string> out;
  add_engine_figures(run, out);
  return out;
}

}  // namespace mica

// Reads a page in Prometheus' text format 0.0.4, and OpenMetrics 1.0 as far as engines use it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mica {

struct MetricSample {
  std::string name;
  std::vector<std::pair<std::string, std::string>> labels;
  double value = 0;
  const std::string* label(std::string_view label_name) const;  // null when absent
};

struct PrometheusPage {
  std::vector<MetricSample> samples;  // in the page's order

  bool has(std::string_view name) const;
  // Over all label sets; nullopt when there is none, or no finite one.
  std::optional<double> sum(std::string_view name) const;
  std::optional<double> largest(std::string_view name) const;
};

// Throws Error(kMeasurement) with the line's number, what was expected and what was found.
PrometheusPage parse_prometheus(std::string_view text);

}  // namespace mica

// Writes metrics in Prometheus' text format, version 0.0.4.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/metrics.h"

namespace mica {

class PrometheusText {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string_view>>;
  // common: labels of every sample.
  explicit PrometheusText(Labels common) : common_(std::move(common)) {}

  void gauge(std::string_view name, std::string_view help, double value);
  // Counters' names end in _total.
  void counter(std::string_view name, std::string_view help, double value);
  void histogram(std::string_view name, std::string_view help, const Histogram& histogram);
  // A metric with several samples: its head, then each sample with its labels.
  void family(std::string_view name, const char* type, std::string_view help);
  void sample(std::string_view name, const Labels& labels, double value);

  std::string take() { return std::move(out_); }

 private:
  void label(std::string_view name, std::string_view value, bool& first);
  const Labels common_;
  std::string out_;
};

}  // namespace mica

// The figures that Mica reports, with their names, units and definitions: one table for summaries,
// result files, comparisons and reports.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "bench/client/record.h"

namespace mica {

enum class Better { kLower, kHigher, kNeither };

// A figure of one request. Seconds, tokens a second, or tokens.
struct RequestMetric {
  const char* name;   // in files: "ttft"
  const char* title;  // for people: "TTFT"
  const char* unit;   // of stored values: "s", "tok/s", "tok"
  Better better;
  const char* definition;
  // Appends the request's values: none when the record can't say, several for gaps.
  void (*append)(const RequestSample&, std::vector<double>& values);
  bool pooled;  // several values a request, which are not independent of one another
};
std::span<const RequestMetric> request_metrics();
const RequestMetric* find_request_metric(std::string_view name);

// A figure of a whole run.
struct RunMetric {
  const char* name;   // "output_throughput"
  const char* title;  // "output tokens/s"
  const char* unit;
  Better better;
  const char* definition;
};
std::span<const RunMetric> run_metrics();
const RunMetric* find_run_metric(std::string_view name);

// Of one request; nothing where it has none or several.
std::optional<double> value_of(const RequestMetric& metric, const RequestSample& record);
inline std::optional<double> value_of(std::string_view metric, const RequestSample& record) {
  return value_of(*find_request_metric(metric), record);
}

// How percentiles, intervals and flags are made, one sentence a line.
std::span<const char* const> method_notes();

}  // namespace mica

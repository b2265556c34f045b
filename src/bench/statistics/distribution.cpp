#include "bench/statistics/distribution.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "bench/statistics/bootstrap.h"
#include "bench/statistics/series_tests.h"

namespace mica {

double percentile(std::span<const double> sorted, double percent) {
  MICA_CHECK(!sorted.empty() && percent >= 0 && percent <= 100);
  const double place = static_cast<double>(sorted.size() - 1) * percent / 100;
  const size_t below = static_cast<size_t>(place), above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

double median_of(std::vector<double> values) {
  MICA_CHECK(!values.empty());
  return median_statistic(values);
}

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double deviation_of(std::span<const double> values) {
  if (values.size() < 2) return 0;
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

Distribution describe(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  Distribution out;
  out.count = static_cast<int64_t>(values.size());
  out.mean = mean_of(values);
  out.deviation = deviation_of(values);
  out.variation = out.mean != 0 ? out.deviation / out.mean : 0;
  out.min = sorted.front();
  out.max = sorted.back();
  out.median = percentile(sorted, 50);
  out.p90 = percentile(sorted, 90);
  out.p95 = percentile(sorted, 95);
  out.p99 = percentile(sorted, 99);
  return out;
}

Distribution describe_samples(std::span<const double> values, uint64_t seed) {
  Distribution out = describe(values);
  if (values.size() > 1) {
    constexpr Statistic kBoth[] = {mean_statistic, median_statistic};
    const std::vector<Interval> intervals = bootstrap(values, kBoth, {.seed = seed});
    out.mean_interval = intervals[0];
    out.median_interval = intervals[1];
  }
  out.drift = find_drift(values);
  out.outliers = find_outliers(values);
  return out;
}

}  // namespace mica

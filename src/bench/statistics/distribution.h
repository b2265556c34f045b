// What a set of values looks like.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace mica {

struct Interval {
  double low = 0, high = 0;
  double width() const { return high - low; }
  friend bool operator==(const Interval&, const Interval&) = default;
};

// Of ascending values, at least one; percent 0 to 100. Interpolated linearly between the two
// nearest values, as numpy does by default: position (n - 1) * percent / 100.
double percentile(std::span<const double> sorted, double percent);
double median_of(std::vector<double> values);
double mean_of(std::span<const double> values);
double deviation_of(std::span<const double> values);  // the sample's, n - 1; 0 of one value

struct Drift {
  double p = 1;       // of the Mann-Kendall test, two-sided
  double change = 0;  // from the first to the last value by Theil-Sen's slope, share of the median
  bool flagged = false;
};

struct Distribution {
  int64_t count = 0;
  double mean = 0, deviation = 0, variation = 0;  // variation: CV; 0 where the mean is
  double min = 0, max = 0, median = 0, p90 = 0, p95 = 0, p99 = 0;
  std::optional<Interval> mean_interval, median_interval;  // 95 %
  std::optional<Drift> drift;
  std::vector<int64_t> outliers;  // places in the values
};

// The figures without intervals and flags; `values` must not be empty.
Distribution describe(std::span<const double> values);
// With them: values in the order in which they were taken and independent of one another.
Distribution describe_samples(std::span<const double> values, uint64_t seed = 0);

}  // namespace mica

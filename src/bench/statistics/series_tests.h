// Questions to values in the order in which they were taken.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "bench/statistics/distribution.h"

namespace mica {

struct DriftOptions {
  double max_p = 0.01;
  double min_change = 0.02;  // share of the median
};
// Mann-Kendall test (H. Mann 1945) with the correction for ties, and Theil-Sen's slope. Nothing for
// less than 8 values. More than 256 are reduced to medians of 256 blocks.
std::optional<Drift> find_drift(std::span<const double> values, const DriftOptions& options = {});

struct OutlierOptions {
  double max_score = 3.5;      // B. Iglewicz, D. Hoaglin 1993: 0.6745 * distance / MAD
  double min_distance = 0.05;  // share of the median; closer ones never count
};
// Places of the values that lie apart, ascending. Nothing for less than 5 values.
std::vector<int64_t> find_outliers(std::span<const double> values,
                                   const OutlierOptions& options = {});

}  // namespace mica

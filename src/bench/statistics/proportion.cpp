#include "bench/statistics/proportion.h"

#include <algorithm>
#include <cmath>

namespace mica {

Interval wilson_interval(const Proportion& proportion) {
  if (proportion.all <= 0) return {0, 1};
  constexpr double kZ = 1.959963984540054;  // of 97.5 % of the normal distribution
  const auto n = static_cast<double>(proportion.all);
  const double p = proportion.value(), z2 = kZ * kZ;
  const double center = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kZ / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  return {std::max(0.0, center - half), std::min(1.0, center + half)};
}

}  // namespace mica

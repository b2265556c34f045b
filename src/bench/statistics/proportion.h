// Shares of successes.
#pragma once

#include <cstdint>

#include "bench/statistics/distribution.h"

namespace mica {

struct Proportion {
  int64_t right = 0, all = 0;
  double value() const {
    return all > 0 ? static_cast<double>(right) / static_cast<double>(all) : 0;
  }
  void add(bool is_right) { right += is_right, ++all; }
  friend bool operator==(const Proportion&, const Proportion&) = default;
};

// 95 % interval of a share by E. Wilson, "Probable inference, the law of succession, and
// statistical inference", 1927: stays within 0 and 1, also at few trials and at none right. 0 to 1
// of no trials.
Interval wilson_interval(const Proportion& proportion);

}  // namespace mica

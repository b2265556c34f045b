#include "bench/statistics/stop_rule.h"

#include <cmath>

#include "bench/statistics/bootstrap.h"

namespace mica {

void StopRule::add(double value) {
  values_.push_back(value);
  const auto count = static_cast<int64_t>(values_.size());
  if (precise_ || (count < next_ && !full())) return;
  next_ = count + (count + 3) / 4;
  const double median = std::abs(median_of(values_));
  const double half = bootstrap_median(values_).width() / 2;
  reached_ = median > 0 ? half / median : 0;
  precise_ = reached_ <= options_.precision;
}

}  // namespace mica

// When a run has measured enough.
#pragma once

#include <cstdint>
#include <vector>

namespace mica {

struct StopOptions {
  double precision = 0.02;  // wanted half width of the median's 95 % interval, share of the median
  int64_t min_samples = 10, max_samples = 1000;
};

// Asks the interval at growing numbers of samples, each a quarter more than the last: a rule that
// asks after every one stops too often at an interval that is narrow by chance.
class StopRule {
 public:
  explicit StopRule(const StopOptions& options = {}) : options_(options), next_(first()) {}

  void add(double value);
  bool done() const { return precise_ || full(); }
  bool precise() const { return precise_; }  // false: stopped at max_samples, or not yet
  // The last interval's half width / median; 0 before the first look.
  double reached() const { return reached_; }

 private:
  bool full() const { return static_cast<int64_t>(values_.size()) >= options_.max_samples; }
  int64_t first() const { return options_.min_samples < 3 ? 3 : options_.min_samples; }

  StopOptions options_;
  int64_t next_;  // number of samples at which to look
  std::vector<double> values_;
  double reached_ = 0;
  bool precise_ = false;
};

}  // namespace mica

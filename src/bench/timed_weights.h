// How long a model's weights take to come, apart from what the backend does with them.
#pragma once

#include <chrono>

#include "checkpoint/weights.h"

namespace mica {

// Hands on what another source has; `seconds` is the time that source took.
class TimedWeights : public WeightSource {
  template <typename F>
  auto timed(F work) {
    const auto start = std::chrono::steady_clock::now();
    auto result = work();
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  }

 public:
  explicit TimedWeights(WeightSource& source) : source_(source) {}

  bool has(const std::string& path) const override { return source_.has(path); }
  LinearWeights linear(const std::string& path, int64_t rows, int64_t columns,
                       int64_t experts = 1) override {
    return timed([&] { return source_.linear(path, rows, columns, experts); });
  }
  Tensor parameter(const std::string& name, const Shape& shape) override {
    return timed([&] { return source_.parameter(name, shape); });
  }
  void release(const LinearWeights& weights) override { source_.release(weights); }

  double seconds() const { return seconds_; }

 private:
  WeightSource& source_;
  double seconds_ = 0;
};

}  // namespace mica

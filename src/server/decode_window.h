// The speed of decode steps over the last seconds.
#pragma once

#include <deque>
#include <mutex>

#include "engine/engine.h"

namespace mica {

class DecodeWindow {
 public:
  // Call once a second; thread-safe, as `rate`.
  void add(const EngineStats& stats);

  struct Rate {
    double step_seconds = 0;      // mean time of a decode step; 0 when none ran
    double bytes_per_second = 0;  // weights, keys and values that the steps read
  };
  Rate rate() const;

 private:
  static constexpr size_t kSeconds = 15;
  struct Point {
    uint64_t steps = 0;
    double seconds = 0, bytes = 0;
  };
  mutable std::mutex mutex_;
  std::deque<Point> points_;
};

}  // namespace mica

// Whether the engine goes on: it must take steps while it has work.
#pragma once

#include <chrono>
#include <mutex>

#include "engine/engine.h"

namespace mica {

class Watchdog {
 public:
  using Clock = std::chrono::steady_clock;
  // patience: how long no step may begin or end while one or requests run or wait; 0 = for ever.
  explicit Watchdog(std::chrono::milliseconds patience) : patience_(patience) {}

  enum class Change { kNone, kStuck, kMovesAgain };
  // Call about once a second. Thread-safe, as the others.
  Change update(const EngineStats& stats, const Heartbeat& heartbeat,
                Clock::time_point now = Clock::now());

  bool stuck() const;
  std::chrono::milliseconds patience() const { return patience_; }
  uint64_t times_stuck() const;

 private:
  const std::chrono::milliseconds patience_;
  mutable std::mutex mutex_;
  // Under the mutex:
  uint64_t step_ = 0, times_stuck_ = 0;
  Clock::time_point beat_{}, waits_since_{};
  bool busy_ = false, stuck_ = false;
};

}  // namespace mica

#include "server/watchdog.h"

namespace mica {

Watchdog::Change Watchdog::update(const EngineStats& stats, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const bool stepped = stats.steps != steps_;
  const bool busy = stats.running + stats.waiting > 0;
  if (stepped) last_step_ = now;
  if (stepped || !busy || !busy_) waits_since_ = now;
  steps_ = stats.steps;
  busy_ = busy;
  const bool stuck = patience_.count() > 0 && busy && now - waits_since_ >= patience_;
  if (stuck == stuck_) return Change::kNone;
  stuck_ = stuck;
  times_stuck_ += stuck ? 1 : 0;
  return stuck ? Change::kStuck : Change::kMovesAgain;
}

bool Watchdog::stuck() const {
  const std::lock_guard lock(mutex_);
  return stuck_;
}

std::chrono::duration<double> Watchdog::step_age(Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  if (last_step_ == Clock::time_point{}) return std::chrono::duration<double>(0);
  return now - last_step_;
}

uint64_t Watchdog::times_stuck() const {
  const std::lock_guard lock(mutex_);
  return times_stuck_;
}

}  // namespace mica

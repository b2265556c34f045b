#include "server/watchdog.h"

namespace mica {

Watchdog::Change Watchdog::update(const EngineStats& stats, const Heartbeat& heartbeat,
                                  Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const bool stepped = heartbeat.step != step_ || heartbeat.since != beat_;
  const bool busy = heartbeat.running || stats.running + stats.waiting > 0;
  if (stepped || !busy || !busy_) waits_since_ = now;
  step_ = heartbeat.step;
  beat_ = heartbeat.since;
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

uint64_t Watchdog::times_stuck() const {
  const std::lock_guard lock(mutex_);
  return times_stuck_;
}

}  // namespace mica

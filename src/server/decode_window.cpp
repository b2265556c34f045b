#include "server/decode_window.h"

namespace mica {

void DecodeWindow::add(const EngineStats& stats) {
  const std::lock_guard lock(mutex_);
  points_.push_back({stats.decode_steps, stats.decode_seconds, stats.decode_bytes});
  if (points_.size() > kSeconds) points_.pop_front();
}

DecodeWindow::Rate DecodeWindow::rate() const {
  const std::lock_guard lock(mutex_);
  if (points_.empty()) return {};
  const Point &first = points_.front(), &last = points_.back();
  const double seconds = last.seconds - first.seconds;
  if (last.steps == first.steps || seconds <= 0) return {};
  return {seconds / static_cast<double>(last.steps - first.steps),
          (last.bytes - first.bytes) / seconds};
}

}  // namespace mica

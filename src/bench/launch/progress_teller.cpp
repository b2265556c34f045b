#include "bench/launch/progress_teller.h"

#include <thread>
#include <utility>

namespace mica {

ProgressTeller::ProgressTeller(Listener listener) : shared_(std::make_shared<Shared>()) {
  shared_->listener = std::move(listener);
  shared_->ended = !shared_->listener;
  if (shared_->listener) std::thread([shared = shared_] { shared->run(); }).detach();
}

ProgressTeller::~ProgressTeller() {
  std::unique_lock lock(shared_->mutex);
  shared_->ending = true;
  shared_->changed.notify_all();
  shared_->changed.wait_for(lock, std::chrono::seconds(2), [this] { return shared_->ended; });
}

void ProgressTeller::tell(LaunchProgress progress) {
  const std::lock_guard lock(shared_->mutex);
  if (!shared_->listener) return;
  const bool line = progress.kind == LaunchProgress::Kind::kLog;
  if (line && shared_->waiting.size() >= kMaxWaiting) {
    ++shared_->dropped;
    return;
  }
  if (const uint64_t dropped = std::exchange(shared_->dropped, 0))
    shared_->waiting.push_back({LaunchProgress::Kind::kLog,
                                fmt::format("({} lines are only in the log)", dropped),
                                progress.elapsed});
  shared_->waiting.push_back(std::move(progress));
  shared_->changed.notify_all();
}

void ProgressTeller::Shared::run() {
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [this] { return ending || !waiting.empty(); });
    if (waiting.empty()) break;
    const LaunchProgress progress = std::move(waiting.front());
    waiting.pop_front();
    lock.unlock();
    listener(progress);
    lock.lock();
  }
  ended = true;
  changed.notify_all();
}

}  // namespace mica

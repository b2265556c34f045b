#include "engine/request.h"

#include <algorithm>

#include "base/log.h"

namespace mica {

const char* name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kCancelled: return "cancelled";
    case FinishReason::kTimeout: return "timeout";
    case FinishReason::kError: return "error";
  }
  return "unknown";
}

std::optional<Event> EventStream::next(std::chrono::milliseconds timeout) {
  timeout = std::min<std::chrono::milliseconds>(timeout, std::chrono::hours(24 * 365));
  std::unique_lock lock(mutex_);
  if (!ready_.wait_for(lock, timeout, [&] { return !events_.empty(); })) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::optional<Event> EventStream::try_next() {
  const std::lock_guard lock(mutex_);
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

bool EventStream::empty() const {
  const std::lock_guard lock(mutex_);
  return events_.empty();
}

void EventStream::push(Event event) {
  const Event::Kind kind = event.kind;
  {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  ready_.notify_one();
  if (!notify_) return;
  try {
    notify_(kind);
  } catch (const std::exception& error) {
    log_error("[engine] the notification of an event failed: {}", error.what());
  }
  // It may hold its consumer, who holds this stream.
  if (kind == Event::Kind::kFinished) notify_ = nullptr;
}

}  // namespace mica

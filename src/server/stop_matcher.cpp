#include "server/stop_matcher.h"

#include <algorithm>

namespace mica {

std::string StopMatcher::add(std::string_view piece) {
  if (stopped_) return "";
  if (stops_.empty()) return std::string(piece);
  pending_ += piece;
  // The one that is complete first, however the text was cut into pieces.
  size_t first = std::string::npos, end = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t at = pending_.find(stop);
    if (at == std::string::npos) continue;
    if (at + stop.size() < end || (at + stop.size() == end && at < first)) {
      first = at;
      end = at + stop.size();
      found_ = stop;
    }
  }
  if (first != std::string::npos) {
    stopped_ = true;
    return pending_.substr(0, first);
  }
  const size_t safe = pending_.size() - held_back();
  std::string out = pending_.substr(0, safe);
  pending_.erase(0, safe);
  return out;
}

std::string StopMatcher::finish() {
  return stopped_ ? std::string() : std::move(pending_);
}

size_t StopMatcher::held_back() const {
  size_t most = 0;
  for (const std::string& stop : stops_)
    for (size_t length = std::min(stop.size() - 1, pending_.size()); length > most; --length)
      if (pending_.compare(pending_.size() - length, length, stop, 0, length) == 0) {
        most = length;
        break;
      }
  return most;
}

}  // namespace mica

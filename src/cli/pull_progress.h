// What a download shows on standard error.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "checkpoint/hub/hub.h"

namespace mica {

std::string format_bytes(uint64_t bytes);  // "1.2 GB"

// On a terminal one line that is drawn again and again, with lasting lines above it; elsewhere only
// the lasting lines.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar() { erase(); }
  void operator()(const PullProgress& p);

 private:
  void erase();
  void lasting_line(const std::string& text);
  void draw(const PullProgress& p);
  double speed(const PullProgress& p);

  const bool terminal_;
  bool drawn_ = false;
  std::deque<std::pair<std::chrono::steady_clock::time_point, uint64_t>>
      samples_;  // of done_bytes, 5 s back
};

}  // namespace mica

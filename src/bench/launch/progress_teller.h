// Passes progress on by a thread of its own: a terminal that stands still must not hold up what
// reads the engine's output.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "bench/launch/launcher.h"

namespace mica {

class ProgressTeller {
 public:
  using Listener = std::function<void(const LaunchProgress&)>;
  static constexpr size_t kMaxWaiting = 2000;  // lines of the log; what comes beyond is not told

  explicit ProgressTeller(Listener listener);
  ~ProgressTeller();  // waits two seconds at most for what is waiting
  ProgressTeller(const ProgressTeller&) = delete;
  ProgressTeller& operator=(const ProgressTeller&) = delete;

  void tell(LaunchProgress progress);

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<LaunchProgress> waiting;
    uint64_t dropped = 0;
    bool ending = false, ended = false;
    Listener listener;
    void run();
  };
  std::shared_ptr<Shared> shared_;  // with the thread, which a listener may keep
};

}  // namespace mica

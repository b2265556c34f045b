// What really happened to each request, by the scripted engine's own clock: seconds of
// CLOCK_MONOTONIC, which all processes of a machine share (std::chrono::steady_clock).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace mica::fake {

using Clock = std::chrono::steady_clock;

inline double seconds(Clock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}
inline Clock::duration milliseconds(double count) {
  return std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double, std::milli>(count));
}

struct Truth {
  static constexpr double kNever = -1;
  int64_t number = 0;  // from 0
  std::string path, body, authorization;
  double received = kNever;       // its last byte was read
  double began = kNever;          // it left the queue: `due` counts from here
  double head = kNever;           // the answer's head was written
  std::vector<double> due, sent;  // of each chunk of tokens: by the script, handed to the kernel
  std::vector<int64_t> tokens;    // of each
  double ended = kNever;
  std::string outcome;  // "done", "fault: drop", "client gone"; "" = open
  int64_t prompt_tokens = 0, cached_tokens = 0;
};

// Written by the engine's thread, read by any.
class Truths {
 public:
  int64_t add(Truth truth);  // gives it its number
  template <typename Change>
  void change(int64_t number, const Change& work) {
    const std::lock_guard lock(mutex_);
    work(all_[static_cast<size_t>(number)]);
  }
  std::vector<Truth> all() const;
  nlohmann::json json() const;

 private:
  mutable std::mutex mutex_;
  std::deque<Truth> all_;
};

}  // namespace mica::fake

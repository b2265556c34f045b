// Which thread runs next: the three orders of the emulator.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "base/mix.h"

namespace mica::simt {

enum class Order {
  kForward,  // threads by index, each as far as it gets, in rounds
  kReverse,  // the same from the last
  kRandom,   // any that can run, by seed; blocks too
};

struct Schedule {
  Order order = Order::kForward;
  uint64_t seed = 0;
  int os_threads = 1;                           // that run blocks at the same time
  std::chrono::milliseconds spin_limit{20000};  // a wait that nothing ends is an error then
};

// SplitMix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() { return mix64(state_ += 0x9e3779b97f4a7c15u); }
  uint64_t below(uint64_t bound) { return next() % bound; }

 private:
  uint64_t state_;
};

// The threads that can run.
class ReadyList {
 public:
  ReadyList(Order order, uint64_t seed) : order_(order), random_(seed), sticky_(seed & 1) {}

  void push(int thread) { waiting_.push_back(thread); }
  // -1 where none can run.
  int pop() {
    if (order_ == Order::kRandom) return pop_random();
    if (next_ == round_.size()) {
      round_.clear();
      next_ = 0;
      round_.swap(waiting_);
      const auto before = [this](int a, int b) {
        return order_ == Order::kForward ? a < b : a > b;
      };
      if (!std::is_sorted(round_.begin(), round_.end(), before))
        std::sort(round_.begin(), round_.end(), before);
    }
    return next_ == round_.size() ? -1 : round_[next_++];
  }
  Random& random() { return random_; }

 private:
  // Half of the seeds let what became ready last run on, so that some warps fall far behind.
  int pop_random() {
    if (waiting_.empty()) return -1;
    const uint64_t draw = random_.next();
    const size_t last = waiting_.size() - 1;
    const size_t pick = sticky_ && draw % 8 ? last : (draw >> 3) % (last + 1);
    std::swap(waiting_[pick], waiting_[last]);
    const int thread = waiting_.back();
    waiting_.pop_back();
    return thread;
  }

  Order order_;
  Random random_;
  bool sticky_;
  std::vector<int> round_, waiting_;
  size_t next_ = 0;  // of round_
};

}  // namespace mica::simt

#include "ops/simt/grid.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

#include "ops/simt/block.h"

namespace mica::simt {
namespace {

std::vector<uint64_t> block_order(uint64_t blocks, const Schedule& schedule) {
  std::vector<uint64_t> order(blocks);
  std::iota(order.begin(), order.end(), uint64_t{0});
  if (schedule.order == Order::kReverse) std::reverse(order.begin(), order.end());
  if (schedule.order == Order::kRandom) {
    Random random(schedule.seed);
    for (uint64_t i = blocks; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  }
  return order;
}

// The blocks of a launch, taken one by one by OS threads.
class Grid {
 public:
  Grid(const emu::Launch& launch, const std::function<void()>& body, const Schedule& schedule)
      : launch_(launch),
        body_(body),
        schedule_(schedule),
        blocks_(block_order(launch.grid.count(), schedule)) {}

  void work() {
    for (size_t i = next_++; i < blocks_.size() && !failed_; i = next_++) {
      try {
        run_block(blocks_[i]);
      } catch (...) {
        std::lock_guard lock(mutex_);
        failed_ = true;
        if (!fault_ || i < fault_at_) {
          fault_ = std::current_exception();
          fault_at_ = i;
        }
      }
    }
  }
  void check() const {
    if (fault_) std::rethrow_exception(fault_);
  }

 private:
  void run_block(uint64_t block) {
    const gpu::Dim3 grid = launch_.grid;
    const gpu::Dim3 index = {static_cast<uint32_t>(block % grid.x),
                             static_cast<uint32_t>(block / grid.x % grid.y),
                             static_cast<uint32_t>(block / grid.x / grid.y)};
    Schedule schedule = schedule_;
    schedule.seed = Random(schedule_.seed + block * 0x9e3779b97f4a7c15u).next();
    Block(launch_, index, schedule).run(body_);
  }

  const emu::Launch& launch_;
  const std::function<void()>& body_;
  const Schedule& schedule_;
  const std::vector<uint64_t> blocks_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::exception_ptr fault_;
  size_t fault_at_ = 0;
};

}  // namespace

void run_grid(const emu::Launch& launch, const std::function<void()>& body,
              const Schedule& schedule) {
  Grid grid(launch, body, schedule);
  const uint64_t helpers =
      std::min<uint64_t>(static_cast<uint64_t>(schedule.os_threads), launch.grid.count()) - 1;
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < helpers; ++i) threads.emplace_back([&] { grid.work(); });
  grid.work();
  for (std::thread& thread : threads) thread.join();
  grid.check();
}

}  // namespace mica::simt

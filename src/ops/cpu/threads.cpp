#include "ops/cpu/threads.h"

#include <chrono>
#include <thread>
#include <vector>

#include "base/error.h"
#include "ops/cpu/isa.h"

namespace mica {
namespace {

// How long a thread spins before it sleeps. A decode step's regions are some 5-50 us apart.
constexpr auto kSpinTime = std::chrono::microseconds(60);

// Spins until `ready()`, at most kSpinTime; the clock is read every 32 pauses.
template <typename Ready>
bool spin(Ready&& ready) {
  if (ready()) return true;
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    for (int i = 0; i < 32; ++i) {
      cpu_relax();
      if (ready()) return true;
    }
    if (std::chrono::steady_clock::now() - start > kSpinTime) return false;
  }
}

// `state` of a region: epoch in the upper 32 bits, then open, joined and active. A worker joins by
// compare-and-swap while the region of its epoch is open, so a late one never sees a dead context.
constexpr uint64_t kOpen = uint64_t{1} << 31;
constexpr uint64_t kJoined = uint64_t{1} << 16;  // 15 bits: workers that joined so far
constexpr uint64_t kActive = 1;                  // 16 bits: workers that have not finished
constexpr uint64_t joined(uint64_t state) {
  return (state >> 16) & 0x7fff;
}
constexpr uint64_t active(uint64_t state) {
  return state & 0xffff;
}

}  // namespace

struct ThreadPool::Shared {
  alignas(64) std::atomic<uint32_t> epoch{0};  // workers wait for a change
  alignas(64) std::atomic<uint64_t> state{0};
  alignas(64) std::atomic<uint32_t> finished{0};  // bumped when a worker leaves: the caller waits
  std::atomic<bool> stop{false};
  std::atomic<bool> busy{false};
  Body body = nullptr;
  void* context = nullptr;
  std::vector<std::thread> workers;

  void work(int thread);
  bool join(uint32_t seen);
};

bool ThreadPool::Shared::join(uint32_t seen) {
  uint64_t current = state.load(std::memory_order_acquire);
  while ((current >> 32) == seen && (current & kOpen)) {
    if (state.compare_exchange_weak(current, current + kJoined + kActive, std::memory_order_acq_rel,
                                    std::memory_order_acquire))
      return true;
  }
  return false;
}

void ThreadPool::Shared::work(int thread) {
  uint32_t seen = 0;
  for (;;) {
    if (!spin([&] { return epoch.load(std::memory_order_acquire) != seen; })) epoch.wait(seen);
    const uint32_t now = epoch.load(std::memory_order_acquire);
    if (now == seen) continue;
    seen = now;
    if (stop.load(std::memory_order_relaxed)) return;
    if (!join(seen)) continue;
    body(context, thread);
    state.fetch_sub(kActive, std::memory_order_acq_rel);
    finished.fetch_add(1, std::memory_order_release);
    finished.notify_one();
  }
}

ThreadPool::ThreadPool(int threads) : size_(threads), shared_(std::make_unique<Shared>()) {
  MICA_CHECK(threads >= 1 && threads < 0x7fff);
  for (int i = 1; i < threads; ++i)
    shared_->workers.emplace_back([shared = shared_.get(), i] { shared->work(i); });
}

ThreadPool::~ThreadPool() {
  shared_->stop = true;
  shared_->epoch.fetch_add(1);
  shared_->epoch.notify_all();
  for (auto& worker : shared_->workers) worker.join();
}

void ThreadPool::region(Body body, void* context, bool everyone) {
  Shared& s = *shared_;
  MICA_CHECK_MSG(!s.busy.exchange(true, std::memory_order_acquire), "nested parallel region");
  s.body = body;
  s.context = context;
  const uint32_t epoch = s.epoch.load(std::memory_order_relaxed) + 1;
  s.state.store((uint64_t{epoch} << 32) | kOpen, std::memory_order_release);
  s.epoch.store(epoch, std::memory_order_seq_cst);
  s.epoch.notify_all();
  body(context, 0);

  const uint64_t wanted = everyone ? static_cast<uint64_t>(size_ - 1) : 0;
  auto done = [&] {
    uint64_t current = s.state.load(std::memory_order_acquire);
    if (joined(current) < wanted) return false;
    if (current & kOpen) current = s.state.fetch_and(~kOpen, std::memory_order_acq_rel);
    return active(current) == 0;
  };
  while (!spin(done)) {
    const uint32_t before = s.finished.load(std::memory_order_acquire);
    if (done()) break;
    s.finished.wait(before);
  }
  s.busy.store(false, std::memory_order_release);
}

}  // namespace mica

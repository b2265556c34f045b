// A persistent pool for short parallel regions (tens of microseconds): workers spin a while for the
// next region, then sleep. Work is taken in chunks from a counter, so a worker that the system does
// not schedule delays nobody.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace mica {

// One region at a time, started by one thread, which takes part as thread 0. Bodies don't throw and
// don't start regions themselves.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // threads >= 1, the caller included
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  // Calls body(begin, end, thread) over [0, count) in chunks of `grain` (the last is shorter), each
  // chunk once, in any order, 0 <= thread < size(). Threads that come late may get no chunk.
  template <typename F>
  void parallel_for(int64_t count, int64_t grain, F&& body) {
    if (count <= 0) return;
    if (grain < 1) grain = 1;
    if (size_ == 1 || count <= grain) {
      for (int64_t begin = 0; begin < count; begin += grain)
        body(begin, begin + grain < count ? begin + grain : count, 0);
      return;
    }
    std::atomic<int64_t> next{0};
    auto work = [&](int thread) {
      for (;;) {
        const int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= count) return;
        body(begin, begin + grain < count ? begin + grain : count, thread);
      }
    };
    region([](void* context, int thread) { (*static_cast<decltype(work)*>(context))(thread); },
           &work, false);
  }

  // Calls per_thread(thread) once on every thread of the pool.
  template <typename F>
  void run(F&& per_thread) {
    if (size_ == 1) {
      per_thread(0);
      return;
    }
    using Body = std::remove_reference_t<F>;
    region([](void* context, int thread) { (*static_cast<Body*>(context))(thread); },
           const_cast<void*>(static_cast<const void*>(&per_thread)), true);
  }

 private:
  using Body = void (*)(void* context, int thread);
  struct Shared;
  // Runs body on the caller and on the workers that arrive in time (all of them if everyone).
  void region(Body body, void* context, bool everyone);

  int size_;
  std::unique_ptr<Shared> shared_;
};

}  // namespace mica

#include "ops/cpu/threads.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

namespace mica {
namespace {

TEST(ThreadPool, EveryIndexOnce) {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (int64_t count : {0, 1, 2, 63, 64, 65, 1000}) {
      for (int64_t grain : {0, 1, 7, 64, 5000}) {
        std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
        pool.parallel_for(count, grain, [&](int64_t begin, int64_t end, int thread) {
          EXPECT_GE(thread, 0);
          EXPECT_LT(thread, threads);
          for (int64_t i = begin; i < end; ++i) seen[static_cast<size_t>(i)]++;
        });
        for (auto& n : seen) EXPECT_EQ(n.load(), 1);
      }
    }
  }
}

TEST(ThreadPool, RunReachesEveryThreadOnce) {
  ThreadPool pool(4);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::atomic<int>> seen(4);
    pool.run([&](int thread) { seen[static_cast<size_t>(thread)]++; });
    for (auto& n : seen) ASSERT_EQ(n.load(), 1);
  }
}

// Many short regions back to back, with pauses long enough that workers fall asleep in between.
TEST(ThreadPool, ShortRegionsAndSleep) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  int64_t expected = 0;
  for (int round = 0; round < 5000; ++round) {
    pool.parallel_for(8, 1, [&](int64_t begin, int64_t, int) { sum += begin + round; });
    expected += 28 + 8 * round;
    ASSERT_EQ(sum.load(), expected);
    if (round % 1000 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace
}  // namespace mica

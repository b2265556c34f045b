#include "engine/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace mica {
namespace {

TEST(BlockPool, HandsOutEveryBlockOnceThenNone) {
  BlockPool pool(5);
  std::vector<int32_t> blocks;
  while (const auto block = pool.allocate()) blocks.push_back(*block);
  std::ranges::sort(blocks);
  EXPECT_EQ(blocks, (std::vector<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(pool.available(), 0);
  EXPECT_EQ(pool.used(), 5);
}

TEST(BlockPool, AHeldBlockComesBackWithItsLastHolder) {
  BlockPool pool(1);
  const int32_t block = *pool.allocate();
  pool.retain(block);
  pool.release(block);
  EXPECT_FALSE(pool.allocate());
  pool.release(block);
  EXPECT_EQ(pool.allocate(), block);
}

TEST(BlockPool, BlocksWithoutContentGoFirstThenTheLeastRecentlyReleased) {
  BlockPool pool(4);
  std::vector<int32_t> evicted;
  pool.on_evict([&](int32_t block) { evicted.push_back(block); });
  std::vector<int32_t> b;
  for (int i = 0; i < 4; ++i) b.push_back(*pool.allocate());
  for (int i : {0, 1, 3}) pool.set_findable(b[static_cast<size_t>(i)]);
  for (int i : {3, 0, 2, 1}) pool.release(b[static_cast<size_t>(i)]);
  EXPECT_EQ(pool.cached(), 3);
  EXPECT_EQ(pool.allocate(), b[2]);
  EXPECT_TRUE(evicted.empty());
  // Used again and released: now the most recent.
  pool.retain(b[3]);
  EXPECT_EQ(pool.cached(), 2);
  pool.release(b[3]);
  EXPECT_EQ(pool.allocate(), b[0]);
  EXPECT_EQ(pool.allocate(), b[1]);
  EXPECT_EQ(pool.allocate(), b[3]);
  EXPECT_EQ(evicted, (std::vector<int32_t>{b[0], b[1], b[3]}));
  EXPECT_EQ(pool.cached(), 0);
  // Evicted content is gone: released, they are plain free blocks.
  pool.release(b[0]);
  EXPECT_EQ(pool.cached(), 0);
}

TEST(BlockPool, CachedBlocksMayBeLimited) {
  BlockPool pool(4);
  std::vector<int32_t> evicted;
  pool.on_evict([&](int32_t block) { evicted.push_back(block); });
  pool.limit_cached(2);
  std::vector<int32_t> b;
  for (int i = 0; i < 4; ++i) b.push_back(*pool.allocate());
  for (int32_t block : b) pool.set_findable(block);
  for (int i : {2, 0, 1, 3}) pool.release(b[static_cast<size_t>(i)]);
  EXPECT_EQ(evicted, (std::vector<int32_t>{b[2], b[0]}));
  EXPECT_EQ(pool.cached(), 2);
  EXPECT_EQ(pool.available(), 4);
  EXPECT_EQ(pool.evictions(), 2u);
  // A forgotten block is handed out before those with content.
  pool.forget(b[3]);
  EXPECT_EQ(pool.cached(), 1);
  const uint32_t generation = pool.generation(b[3]);
  EXPECT_EQ(pool.allocate(), b[3]);
  EXPECT_EQ(pool.generation(b[3]), generation + 1);
}

TEST(BlockPool, CountsAgreeWithAModelOverRandomUse) {
  std::mt19937 random(7);
  BlockPool pool(9);
  std::vector<int> held(9, 0);
  std::vector<bool> findable(9, false);
  pool.on_evict([&](int32_t block) {
    EXPECT_TRUE(findable[static_cast<size_t>(block)]);
    EXPECT_EQ(held[static_cast<size_t>(block)], 0);
    findable[static_cast<size_t>(block)] = false;
  });
  for (int i = 0; i < 20000; ++i) {
    const auto at = static_cast<int32_t>(random() % 9);
    int& count = held[static_cast<size_t>(at)];
    switch (random() % 4) {
      case 0:
        if (const auto block = pool.allocate()) {
          EXPECT_EQ(held[static_cast<size_t>(*block)]++, 0);
          EXPECT_FALSE(findable[static_cast<size_t>(*block)]);
        } else {
          EXPECT_EQ(std::ranges::count(held, 0), 0);
        }
        break;
      case 1:
        if (count > 0 || findable[static_cast<size_t>(at)]) pool.retain(at), ++count;
        break;
      case 2:
        if (count > 0) pool.release(at), --count;
        break;
      default:
        if (count > 0) pool.set_findable(at), findable[static_cast<size_t>(at)] = true;
    }
    int32_t cached = 0;
    for (size_t b = 0; b < 9; ++b) cached += held[b] == 0 && findable[b] ? 1 : 0;
    ASSERT_EQ(pool.available(), std::ranges::count(held, 0));
    ASSERT_EQ(pool.cached(), cached);
    ASSERT_EQ(pool.references(at), count);
  }
}

}  // namespace
}  // namespace mica

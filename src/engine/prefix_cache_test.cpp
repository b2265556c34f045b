#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <vector>

namespace mica {
namespace {

using Tokens = std::vector<int32_t>;

uint64_t always_seven(PrefixId, std::span<const int32_t>) {
  return 7;
}

TEST(PrefixCache, FindsABlockByItsTokensAndAllBeforeThem) {
  BlockPool pool(8);
  PrefixCache cache(pool, 2);
  const Tokens ab{1, 2}, cd{3, 4};
  EXPECT_FALSE(cache.find(0, ab));
  const int32_t first = *pool.allocate(), second = *pool.allocate();
  EXPECT_EQ(cache.insert(0, ab, first), first);
  const PrefixId after = cache.prefix_of(first);
  EXPECT_EQ(cache.insert(after, cd, second), second);
  EXPECT_EQ(cache.find(0, ab), first);
  EXPECT_EQ(cache.find(after, cd), second);
  // The same tokens after another prefix are other content.
  EXPECT_FALSE(cache.find(0, cd));
  EXPECT_FALSE(cache.find(after, ab));
}

TEST(PrefixCache, TheSameContentIsKnownOnce) {
  BlockPool pool(4);
  PrefixCache cache(pool, 2);
  const Tokens tokens{5, 6};
  const int32_t first = *pool.allocate(), second = *pool.allocate();
  EXPECT_EQ(cache.insert(0, tokens, first), first);
  EXPECT_EQ(cache.insert(0, tokens, second), first);
  EXPECT_EQ(cache.entries(), 1);
}

TEST(PrefixCache, ACollisionLosesAHitAndNeverServesOtherContent) {
  BlockPool pool(4);
  PrefixCache cache(pool, 2, &always_seven);
  const Tokens a{1, 2}, b{3, 4};
  const int32_t first = *pool.allocate(), second = *pool.allocate();
  EXPECT_EQ(cache.insert(0, a, first), first);
  EXPECT_FALSE(cache.find(0, b));
  EXPECT_FALSE(cache.insert(0, b, second));
  EXPECT_FALSE(cache.find(cache.prefix_of(first), a));  // same tokens, same hash, other prefix
  EXPECT_EQ(cache.find(0, a), first);
}

TEST(PrefixCache, OutlivesItsHoldersUntilTheBlockIsHandedOut) {
  BlockPool pool(2);
  PrefixCache cache(pool, 1);
  const Tokens token{9};
  const int32_t block = *pool.allocate();
  cache.insert(0, token, block);
  const PrefixId id = cache.prefix_of(block);
  pool.release(block);
  EXPECT_EQ(cache.find(0, token), block);
  EXPECT_NE(pool.allocate(), block);
  EXPECT_EQ(cache.find(0, token), block);
  EXPECT_EQ(pool.allocate(), block);
  EXPECT_FALSE(cache.find(0, token));
  // Known again, it is another prefix: what followed the old one is not found after it.
  EXPECT_EQ(cache.insert(0, token, block), block);
  EXPECT_NE(cache.prefix_of(block), id);
}

TEST(PrefixCache, TheHashTellsOrderLengthAndPrefixApart) {
  const Tokens a{1, 2, 3}, b{3, 2, 1}, c{1, 2, 3, 0};
  EXPECT_NE(PrefixCache::default_hash(0, a), PrefixCache::default_hash(0, b));
  EXPECT_NE(PrefixCache::default_hash(0, a), PrefixCache::default_hash(0, c));
  EXPECT_NE(PrefixCache::default_hash(0, a), PrefixCache::default_hash(1, a));
}

TEST(PrefixCache, NothingIsFoundAfterItWasCleared) {
  BlockPool pool(4);
  PrefixCache cache(pool, 2);
  const Tokens held{5, 6}, free{7, 8};
  const int32_t first = *pool.allocate(), second = *pool.allocate();
  cache.insert(0, held, first);
  cache.insert(0, free, second);
  pool.release(second);
  EXPECT_EQ(pool.cached(), 1);
  cache.clear();
  EXPECT_EQ(cache.entries(), 0);
  EXPECT_FALSE(cache.find(0, held) || cache.find(0, free));
  EXPECT_EQ(pool.cached(), 0);
  EXPECT_EQ(pool.used(), 1);
  pool.release(first);  // no content any more
  EXPECT_EQ(pool.cached(), 0);
  EXPECT_EQ(pool.evictions(), 0u);
}

}  // namespace
}  // namespace mica

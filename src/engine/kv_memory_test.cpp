#include "engine/kv_memory.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ops/ref/ref_backend.h"

namespace mica {
namespace {

std::vector<CacheSpec> specs_of(const KvQuantOptions& options) {
  CacheSpec spec;
  spec.kv_heads = 4;
  spec.head_dim = 64;
  CacheSpec state;
  state.kind = CacheSpec::Kind::kSlot;
  state.slot_bytes = 100;
  return with_quantization({spec, spec, state}, options);
}

KvPlan plan_of(const KvQuantOptions& options) {
  EngineOptions engine;
  engine.kv_bytes = 1 << 20;
  engine.max_batch_sequences = 2;
  return plan_kv(specs_of(options), 1 << 20, engine, 0);
}

TEST(KvMemory, FewerBitsHoldMoreTokens) {
  // Two layers, keys and values, 4 heads, 32 tokens; states of two sequences take 512 bytes.
  const KvPlan full = plan_of({}), eight = plan_of({.bits = 8}), four = plan_of({.bits = 4});
  EXPECT_EQ(full.block_bytes, 2u * 2 * 4 * 32 * 128);
  EXPECT_EQ(eight.block_bytes, 2u * 2 * 4 * 32 * (64 + 4));
  EXPECT_EQ(four.block_bytes, 2u * 2 * 4 * 32 * (32 + 4));
  EXPECT_EQ(full.blocks, 15);
  EXPECT_EQ(eight.blocks, 30);
  EXPECT_EQ(four.blocks, 56);
  EXPECT_EQ(four.max_context, 56 * 32);
}

TEST(KvMemory, LayersLieApart) {
  const auto backend = make_ref_backend();
  for (int bits : {0, 8, 4}) {
    const KvPlan plan = plan_of({.bits = bits});
    KvMemory memory(*backend, specs_of({.bits = bits}), plan);
    const KvCache& cache = memory.cache();
    ASSERT_EQ(cache.layers.size(), 3u);
    std::vector<std::pair<uintptr_t, uintptr_t>> ranges;
    for (size_t i = 0; i < cache.layers.size(); ++i) {
      const KvLayer& layer = cache.layers[i];
      EXPECT_EQ(layer.scheme.bits, i < 2 ? bits : 0);
      EXPECT_EQ(layer.values.empty(), i == 2);
      for (const Tensor* part : {&layer.keys, &layer.values}) {
        if (part->empty()) continue;
        const auto begin = reinterpret_cast<uintptr_t>(part->data);
        ranges.emplace_back(begin, begin + part->bytes());
        if (i < 2) {
          EXPECT_TRUE(layer.holds(64));
          EXPECT_EQ(part->bytes() * 4, plan.block_bytes * static_cast<size_t>(plan.blocks));
        }
      }
    }
    std::sort(ranges.begin(), ranges.end());
    for (size_t i = 0; i < ranges.size(); ++i) {
      EXPECT_EQ(ranges[i].first % 64, 0u);
      if (i > 0) {
        EXPECT_LE(ranges[i - 1].second, ranges[i].first);
      }
    }
  }
}

}  // namespace
}  // namespace mica

#include <gtest/gtest.h>

#include <cmath>

#include "ops/rope_append/rope_append.h"
#include "ops/rope_append/test_cache.h"
#include "ops/simt/test_backend.h"
#include "tolerance.h"

namespace mica {
namespace {

constexpr DType kFloats[] = {DType::kF32, DType::kBF16, DType::kF16};
constexpr int32_t kBlockSize = 3, kBlocks = 20;
constexpr int64_t kAllTokens = 48;  // a case takes some of them

struct Case {
  int64_t first_token = 0, tokens = 5;
  int64_t heads = 3, kv_heads = 2, size = 64, rotary = 64;
  bool q_norm = false, k_norm = false, interleaved = false, table_per_token = false;
  float magnitude = 1;
  int32_t first_position = 0;
  DType cache = DType::kBF16;
  int64_t shift = 0;  // elements by which q lies off 16 bytes
};

struct Result {
  std::vector<float> q, keys, values;
  bool operator==(const Result&) const = default;
};

// Values of the case's tokens, as the activations hold them.
std::vector<float> some_tokens(const Case& c, int64_t of_token, uint32_t seed, DType activations) {
  const auto all = simt::rounded(random_values(kAllTokens * of_token, seed), activations);
  const auto begin = all.begin() + c.first_token * of_token;
  return {begin, begin + c.tokens * of_token};
}

std::vector<float> frequencies(const Case& c) {
  std::vector<float> table;
  for (int64_t t = 0; t < (c.table_per_token ? c.tokens : 1); ++t) {
    const float base =
        c.table_per_token ? 1000.0f * static_cast<float>(c.first_token + t + 1) : 1e4f;
    for (int64_t i = 0; i < c.rotary / 2; ++i)
      table.push_back(std::pow(base, -2.0f * static_cast<float>(i) / static_cast<float>(c.rotary)));
  }
  return table;
}

// On a backend whose tensors are of `dtype`, with what `activations` hold.
Result run(TestBackend& backend, const Case& c, DType activations, DType dtype) {
  RopeAppendParams p{.magnitude = c.magnitude, .interleaved = c.interleaved};
  p.q = simt::put_shifted(backend, some_tokens(c, c.heads * c.size, 1, activations),
                          {c.tokens, c.heads, c.size}, dtype, c.shift);
  const Shape kv_shape{c.tokens, c.kv_heads, c.size};
  p.k = backend.put(some_tokens(c, c.kv_heads * c.size, 2, activations), kv_shape, dtype);
  p.v = backend.put(some_tokens(c, c.kv_heads * c.size, 3, activations), kv_shape, dtype);
  if (c.q_norm) p.q_norm = backend.put(random_values(c.size, 4), {c.size});
  if (c.k_norm) p.k_norm = backend.put(random_values(c.size, 5), {c.size});
  if (c.rotary > 0)
    p.inverse_frequencies = backend.put(
        frequencies(c), c.table_per_token ? Shape{c.tokens, c.rotary / 2} : Shape{c.rotary / 2});
  std::vector<int32_t> positions, slots;  // slots run down from the last; token 3 is padding
  for (int64_t t = c.first_token; t < c.first_token + c.tokens; ++t) {
    positions.push_back(c.first_position + static_cast<int32_t>(t));
    slots.push_back(t == 3 ? -1 : kBlocks * kBlockSize - 1 - static_cast<int32_t>(t));
  }
  p.positions = backend.put_ids(positions, {c.tokens});
  p.slots = backend.put_ids(slots, {c.tokens});
  const Shape cache{kBlocks, c.kv_heads, kBlockSize, c.size};
  const std::vector<float> sevens(static_cast<size_t>(cache.elements()), 7);
  p.cache.keys = backend.put(sevens, cache, c.cache);
  p.cache.values = backend.put(sevens, cache, c.cache);
  backend.ops().rope_append(*backend, p);
  return {backend.get(p.q), backend.get(p.cache.keys), backend.get(p.cache.values)};
}

Result run_simt(const Case& c, DType activations, const simt::Schedule& schedule = {}) {
  simt::SimtTestBackend backend(activations, schedule);
  return run(backend, c, activations, activations);
}

void check(const Case& c, DType activations) {
  TestBackend ref({.device = "ref"});
  const Result expected = run(ref, c, activations, DType::kF32);
  const Result found = run_simt(c, activations);
  expect_close(found.q, expected.q, activations, activations == DType::kF32 ? 1 : 0.01);
  expect_close(found.keys, expected.keys, c.cache, c.cache == DType::kF32 ? 1 : 0.01);
  EXPECT_EQ(found.values, expected.values);  // one rounding, and nothing else was touched
  for (const simt::Schedule& schedule : simt::all_schedules(1))
    EXPECT_TRUE(run_simt(c, activations, schedule) == found) << "differs under another schedule";
}

TEST(SimtRopeAppend, AgreesWithReference) {
  const std::vector<Case> cases = {
      {},
      {.tokens = 1, .heads = 1, .kv_heads = 1, .size = 8, .rotary = 8},
      {.heads = 14, .size = 128, .rotary = 128, .q_norm = true, .k_norm = true},
      {.size = 80, .rotary = 32, .cache = DType::kF32},
      {.size = 72, .rotary = 72, .q_norm = true, .cache = DType::kF16},
      {.rotary = 0, .q_norm = true, .k_norm = true},
      {.rotary = 0},
      {.size = 9, .rotary = 6, .interleaved = true},
      {.size = 9, .rotary = 6, .k_norm = true},
      {.tokens = 1, .size = 1, .rotary = 0, .q_norm = true},
      {.size = 2, .rotary = 2},
      {.rotary = 22, .q_norm = true},
      {.heads = 17, .rotary = 20, .interleaved = true, .magnitude = 3},
      {.size = 511, .rotary = 510, .q_norm = true, .k_norm = true},
      {.q_norm = true, .interleaved = true, .magnitude = 1.3f, .cache = DType::kF16},
      {.size = 96, .rotary = 32, .interleaved = true, .table_per_token = true},
      {.table_per_token = true, .magnitude = 0.5f},
      {.k_norm = true, .shift = 1},
      {.size = 256, .rotary = 256, .q_norm = true, .k_norm = true, .first_position = 131000},
      {.size = 512, .rotary = 512, .q_norm = true, .k_norm = true, .cache = DType::kF32},
  };
  for (DType activations : kFloats)
    for (size_t i = 0; i < cases.size(); ++i)
      for (int64_t tokens : {cases[i].tokens, int64_t{0}}) {
        SCOPED_TRACE(fmt::format("{} case {}, {} tokens", name(activations), i, tokens));
        Case c = cases[i];
        c.tokens = tokens;
        check(c, activations);
      }
}

// Many tokens take wide units and several heads a group.
TEST(SimtRopeAppend, ManyTokens) {
  for (DType activations : kFloats)
    for (auto [size, interleaved] :
         {std::pair<int64_t, bool>{64, true}, {80, false}, {80, true}, {512, false}}) {
      SCOPED_TRACE(fmt::format("{} {} {}", name(activations), size, interleaved));
      const Case c = {.tokens = kAllTokens,
                      .heads = size == 512 ? 4 : 17,
                      .kv_heads = 3,
                      .size = size,
                      .rotary = 32,
                      .q_norm = true,
                      .interleaved = interleaved};
      check(c, activations);
    }
}

TEST(SimtRopeAppend, BitsOfATokenDoNotDependOnTheBatch) {
  for (DType activations : kFloats)
    for (auto [size, interleaved] : {std::pair<int64_t, bool>{48, false},
                                     {64, true},
                                     {128, false},
                                     {256, true},
                                     {512, false}}) {
      SCOPED_TRACE(fmt::format("{} {} {}", name(activations), size, interleaved));
      Case c = {.tokens = kAllTokens,
                .size = size,
                .rotary = size,
                .q_norm = true,
                .k_norm = true,
                .interleaved = interleaved,
                .cache = DType::kF32};
      const Result all = run_simt(c, activations);
      c.first_token = 21;
      c.tokens = 1;
      const Result one = run_simt(c, activations);
      const int64_t of_token = c.heads * size;
      const auto begin = all.q.begin() + c.first_token * of_token;
      EXPECT_EQ(one.q, std::vector<float>(begin, begin + of_token));
      const int64_t slot = kBlocks * kBlockSize - 1 - c.first_token;
      for (int64_t g = 0; g < c.kv_heads; ++g)
        for (int64_t i = 0; i < size; ++i) {
          const int64_t row = (slot / kBlockSize * c.kv_heads + g) * kBlockSize;
          const auto at = static_cast<size_t>((row + slot % kBlockSize) * size + i);
          ASSERT_EQ(one.keys[at], all.keys[at]);
        }
    }
}

// Three sequences' worth of tokens; token 3 is padding.
QuantizedResult run_quantized(TestBackend& backend, const QuantizedCase& c, int64_t tokens,
                              bool interleaved, DType activations, DType dtype) {
  constexpr int64_t kHeads = 3;
  RopeAppendParams p{.interleaved = interleaved};
  const auto put = [&](int64_t heads, uint32_t seed) {
    const auto values = random_values(tokens * heads * c.size, seed);
    return backend.put(simt::rounded(values, activations), {tokens, heads, c.size}, dtype);
  };
  p.q = put(kHeads, 1);
  p.k = put(c.kv_heads, 2);
  p.v = put(c.kv_heads, 3);
  p.k_norm = backend.put(random_values(c.size, 5), {c.size});
  p.inverse_frequencies = backend.put(random_values(c.size / 2, 4), {c.size / 2});
  std::vector<int32_t> positions, slots;
  for (int32_t t = 0; t < tokens; ++t) {
    positions.push_back(t);
    slots.push_back(t == 3 ? -1 : static_cast<int32_t>(c.blocks * c.block_size) - 2 - t);
  }
  p.positions = backend.put_ids(positions, {tokens});
  p.slots = backend.put_ids(slots, {tokens});
  p.cache = put_quantized_cache(backend, c);
  backend.ops().rope_append(*backend, p);
  return quantized_result(backend, p.cache);
}

TEST(SimtRopeAppend, QuantizesAsReference) {
  for (DType activations : kFloats)
    for (int bits : {8, 4})
      for (int64_t size : {48, 64, 80, 128, 512})
        for (int64_t tokens : {1, 24}) {  // narrow units; wide ones
          const QuantizedCase c = {.kv_heads = 3,
                                   .size = size,
                                   .blocks = 4,
                                   .bits = bits,
                                   .group = size == 128 ? 128 : 64,
                                   .scales = activations};
          const bool interleaved = size == 64;
          SCOPED_TRACE(fmt::format("{} {} bits {} {}", name(activations), bits, size, tokens));
          TestBackend ref({.device = "ref"});
          const auto expected =
              run_quantized(ref, c, tokens, interleaved, activations, DType::kF32);
          std::vector<QuantizedResult> found;
          for (const simt::Schedule& schedule : simt::all_schedules(1)) {
            simt::SimtTestBackend backend(activations, schedule);
            found.push_back(
                run_quantized(backend, c, tokens, interleaved, activations, activations));
            EXPECT_TRUE(found.back() == found.front()) << "differs under another schedule";
          }
          expect_same(found.front(), expected, c);
        }
}

// The vector (1, 0) turns into cosine and sine; angles are exact integers.
TEST(SimtRopeAppend, LargeAngles) {
  std::vector<int32_t> positions;
  for (int32_t p = 0; p < 1000000; p = p * 17 / 16 + 1) positions.push_back(p);
  const auto tokens = static_cast<int64_t>(positions.size());
  std::vector<float> units;
  for (int64_t t = 0; t < tokens; ++t) units.insert(units.end(), {1, 0});
  simt::SimtTestBackend backend(DType::kF32);
  RopeAppendParams p;
  p.q = backend.put(units, {tokens, 1, 2});
  p.k = p.v = backend.put(units, {tokens, 1, 2});
  p.inverse_frequencies = backend.put({1}, {1});
  p.positions = backend.put_ids(positions, {tokens});
  p.slots = backend.put_ids(std::vector<int32_t>(positions.size(), -1), {tokens});
  p.cache.keys = p.cache.values = backend.put(std::vector<float>(8), {1, 1, 4, 2});
  backend.ops().rope_append(*backend, p);
  const std::vector<float> q = backend.get(p.q);
  for (size_t t = 0; t < positions.size(); ++t) {
    const double angle = positions[t];
    EXPECT_NEAR(q[2 * t], std::cos(angle), 1.5e-7) << angle;
    EXPECT_NEAR(q[2 * t + 1], std::sin(angle), 1.5e-7) << angle;
  }
}

}  // namespace
}  // namespace mica

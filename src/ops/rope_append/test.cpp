#include <gtest/gtest.h>

#include <cmath>

#include "backend_test.h"
#include "ops/rope_append/rope_append.h"
#include "ops/rope_append/test_cache.h"
#include "tolerance.h"

namespace mica {
namespace {

struct Case {
  int64_t tokens = 5, heads = 4, kv_heads = 2, size = 64, rotary = 64;
  bool norms = false, interleaved = false;
  float magnitude = 1;
  int32_t first_position = 0;
  DType cache = DType::kF32;
};

struct Result {
  std::vector<float> q, keys, values;
};

Result run(const BackendOptions& options, const Case& c) {
  TestBackend backend(options);
  RopeAppendParams p{.magnitude = c.magnitude, .interleaved = c.interleaved};
  const int64_t block_size = 3, blocks = c.tokens / block_size + 2;
  p.q = backend.put_activations(random_values(c.tokens * c.heads * c.size, 1),
                                {c.tokens, c.heads, c.size});
  const Shape kv_shape{c.tokens, c.kv_heads, c.size};
  p.k = backend.put_activations(random_values(kv_shape.elements(), 2), kv_shape);
  p.v = backend.put_activations(random_values(kv_shape.elements(), 3), kv_shape);
  if (c.norms) {
    p.q_norm = backend.put(random_values(c.size, 4), {c.size});
    p.k_norm = backend.put(random_values(c.size, 5), {c.size});
  }
  std::vector<float> frequencies;
  for (int64_t i = 0; i < c.rotary / 2; ++i)
    frequencies.push_back(
        std::pow(10000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(c.rotary)));
  if (c.rotary > 0) p.inverse_frequencies = backend.put(frequencies, {c.rotary / 2});
  std::vector<int32_t> positions, slots;
  for (int32_t t = 0; t < c.tokens; ++t) {
    positions.push_back(c.first_position + t);
    slots.push_back(static_cast<int32_t>(blocks * block_size) - 1 - t);
  }
  p.positions = backend.put_ids(positions, {c.tokens});
  p.slots = backend.put_ids(slots, {c.tokens});
  const Shape cache{blocks, c.kv_heads, block_size, c.size};
  const std::vector<float> sevens(static_cast<size_t>(cache.elements()), 7);
  p.cache.keys = backend.put(sevens, cache, c.cache);
  p.cache.values = backend.put(sevens, cache, c.cache);
  backend.ops().rope_append(*backend, p);
  return {backend.get(p.q), backend.get(p.cache.keys), backend.get(p.cache.values)};
}

TEST(RopeAppend, AgreesWithReference) {
  const std::vector<Case> cases = {
      {},
      {.tokens = 1, .heads = 1, .kv_heads = 1, .size = 8, .rotary = 8},
      {.tokens = 7, .heads = 14, .kv_heads = 2, .size = 128, .rotary = 128, .norms = true},
      {.size = 80, .rotary = 32, .cache = DType::kBF16},
      {.size = 64, .rotary = 0, .norms = true},
      {.size = 9, .rotary = 6, .interleaved = true},
      {.tokens = 40, .interleaved = true, .magnitude = 1.3f, .cache = DType::kF16},
      {.size = 256, .rotary = 256, .norms = true, .first_position = 131000, .cache = DType::kBF16},
  };
  for (const BackendOptions& options : tested_backends())
    for (size_t i = 0; i < cases.size(); ++i) {
      SCOPED_TRACE(fmt::format("{} case {}", options.isa, i));
      const Result expected = run({.device = "ref"}, cases[i]), found = run(options, cases[i]);
      expect_close(found.q, expected.q, DType::kF32);
      expect_close(found.keys, expected.keys, cases[i].cache, 0.01);
      EXPECT_EQ(found.values, expected.values);  // one rounding, and nothing else was touched
    }
}

QuantizedResult run_quantized(const BackendOptions& options, const QuantizedCase& c) {
  TestBackend backend(options);
  constexpr int64_t kTokens = 19, kHeads = 4;
  RopeAppendParams p;
  p.q = backend.put_activations(random_values(kTokens * kHeads * c.size, 1),
                                {kTokens, kHeads, c.size});
  const Shape shape{kTokens, c.kv_heads, c.size};
  p.k = backend.put_activations(random_values(shape.elements(), 2), shape);
  p.v = backend.put_activations(random_values(shape.elements(), 3), shape);
  p.inverse_frequencies = backend.put(random_values(c.size / 2, 4), {c.size / 2});
  std::vector<int32_t> positions, slots;
  for (int32_t t = 0; t < kTokens; ++t) {
    positions.push_back(t);
    slots.push_back(static_cast<int32_t>(c.blocks * c.block_size) - 2 - t);
  }
  p.positions = backend.put_ids(positions, {kTokens});
  p.slots = backend.put_ids(slots, {kTokens});
  p.cache = put_quantized_cache(backend, c);
  backend.ops().rope_append(*backend, p);
  return quantized_result(backend, p.cache);
}

TEST(RopeAppend, QuantizesAsReference) {
  for (int bits : {8, 4})
    for (int64_t size : {16, 48, 64, 80, 128, 256})
      for (DType scales : {DType::kF32, DType::kBF16, DType::kF16}) {
        const QuantizedCase c = {
            .size = size, .block_size = 7, .bits = bits, .group = 128, .scales = scales};
        const QuantizedResult expected = run_quantized({.device = "ref"}, c);
        for (const BackendOptions& options : tested_backends()) {
          SCOPED_TRACE(fmt::format("{} {} bits {} {}", options.isa, bits, size, name(scales)));
          expect_same(run_quantized(options, c), expected, c);
        }
      }
}

TEST(RopeAppend, KnownAngles) {
  for (bool interleaved : {false, true}) {
    const Case c{.tokens = 2,
                 .heads = 1,
                 .kv_heads = 1,
                 .size = 4,
                 .rotary = 4,
                 .interleaved = interleaved,
                 .magnitude = 2,
                 .first_position = 1};
    const Result result = run({.device = "ref"}, c);
    const std::vector<float> q = random_values(8, 1);
    // Token 1 is at position 2: angles 2 and 2 * 10000^(-1/2).
    const size_t first = 4, second = interleaved ? 5 : 6;
    EXPECT_NEAR(result.q[first], 2 * (q[first] * std::cos(2.0) - q[second] * std::sin(2.0)), 1e-6);
    EXPECT_NEAR(result.q[second], 2 * (q[first] * std::sin(2.0) + q[second] * std::cos(2.0)), 1e-6);
    const size_t third = interleaved ? 6 : 5;
    EXPECT_NEAR(result.q[third], 2 * (q[third] * std::cos(0.02) - q[7] * std::sin(0.02)), 1e-6);
  }
}

}  // namespace
}  // namespace mica

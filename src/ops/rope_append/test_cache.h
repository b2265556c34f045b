// A quantized cache in tests of rope_append, on any backend.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "backend_test.h"
#include "ops/kv_quantization.h"
#include "tolerance.h"

namespace mica {

struct QuantizedCase {
  int64_t kv_heads = 2, size = 64, block_size = 8, blocks = 4;
  int bits = 8, group = 64;
  DType scales = DType::kBF16;

  CacheSpec spec() const {
    CacheSpec spec;
    spec.kv_heads = kv_heads;
    spec.head_dim = size;
    spec.dtype = scales;
    return with_quantization({spec}, {bits, group})[0];
  }
};

// What the cache holds, as bytes; and the same as numbers.
struct QuantizedResult {
  std::vector<std::byte> keys, values;
  bool operator==(const QuantizedResult&) const = default;
};

// A cache of sevens, in every byte.
inline KvLayer put_quantized_cache(TestBackend& backend, const QuantizedCase& c) {
  const Tensor part = c.spec().tensor(c.blocks, c.block_size);
  const std::vector<std::byte> sevens(part.bytes(), std::byte{7});
  return {backend.put_bytes(sevens, part.shape), backend.put_bytes(sevens, part.shape),
          c.spec().scheme};
}

inline QuantizedResult quantized_result(TestBackend& backend, const KvLayer& cache) {
  return {backend.get_bytes(cache.keys), backend.get_bytes(cache.values)};
}

// Keys differ by the rounding of their rotation, which moves a few codes by one; the rest, scales
// of groups with the same ends and what was not written, is the same. Values are rounded once.
inline void expect_same(const QuantizedResult& found, const QuantizedResult& expected,
                        const QuantizedCase& c) {
  EXPECT_TRUE(found.values == expected.values);
  const KvScheme scheme = c.spec().scheme;
  Tensor cache = c.spec().tensor(c.blocks, c.block_size);
  std::vector<float> ours(static_cast<size_t>(c.size)), theirs = ours;
  int64_t moved = 0;
  for (int64_t row = 0; row < c.blocks * c.kv_heads * c.block_size; ++row) {
    const int64_t piece = row / c.block_size;
    const auto read = [&](const std::vector<std::byte>& bytes, std::vector<float>& out) {
      cache.data = const_cast<std::byte*>(bytes.data());
      dequantize_vector(kv_place(cache, scheme, c.size, piece / c.kv_heads, piece % c.kv_heads,
                                 row % c.block_size),
                        c.size, scheme, out.data());
    };
    read(found.keys, ours);
    read(expected.keys, theirs);
    const auto [lowest, highest] = std::minmax_element(theirs.begin(), theirs.end());
    const float last = c.bits == 8 ? 255 : 15;
    for (size_t i = 0; i < ours.size(); ++i) {
      const float difference = std::abs(ours[i] - theirs[i]);
      ASSERT_LE(difference, 1.1f * (*highest - *lowest) / last + 1e-5f) << "row " << row;
      if (difference > 1e-4f * (*highest - *lowest)) ++moved;
    }
  }
  EXPECT_LE(moved, 1 + c.blocks * c.kv_heads * c.block_size * c.size / 50);
}

}  // namespace mica

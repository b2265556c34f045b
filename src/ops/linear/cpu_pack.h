// Activations into the kernels' form. Compiled like cpu_kernels.h.
#pragma once

#include "ops/linear/cpu_unpack.h"

namespace mica::kernels {

// Smallest group maximum that is not taken for zero: below it 32767 / maximum could overflow.
constexpr float kSmallest = 0x1p-100f;

template <class S>
MICA_INLINE uint32_t max_magnitude(const float* x, int64_t count) {
  auto most = S::broadcast_i(0);
  const auto magnitude = S::broadcast_i(0x7fffffff);
  for (int64_t i = 0; i < count; i += 16)
    most = S::max_u(most, S::and_i(S::bits(S::load(x + i)), magnitude));
  uint32_t lane[16], result = 0;
  S::store_i(lane, most);
  for (uint32_t v : lane) result = v > result ? v : result;
  return result;
}

// One group of one token. Integers are x * 32767 / max |x|, rounded to nearest even. A group with
// an infinity or NaN gets the scale NaN, so that its token's results are NaN and no other's.
template <class S>
void pack_group(const float* x, int group, int tokens, int32_t* pairs, float* scale, float* sum) {
  const uint32_t most = max_magnitude<S>(x, group);
  float maximum;
  __builtin_memcpy(&maximum, &most, 4);
  const bool finite = most < 0x7f800000u;
  const bool zero = finite && maximum < kSmallest;
  const auto inverse = S::broadcast(finite && !zero ? 32767.0f / maximum : 0.0f);
  int32_t total = 0;
  for (int i = 0; i < group; i += 16) {
    int32_t q[16] = {};
    if (finite && !zero) S::store_i(q, S::round(S::mul(S::load(x + i), inverse)));
    for (int j = 0; j < 8; ++j) {
      total += q[2 * j] + q[2 * j + 1];
      pairs[static_cast<int64_t>(i / 2 + j) * tokens] =
          static_cast<int32_t>((static_cast<uint32_t>(q[2 * j]) & 0xffffu) |
                               (static_cast<uint32_t>(q[2 * j + 1]) << 16));
    }
  }
  *scale = zero ? 0.0f : finite ? maximum / 32767.0f : __builtin_nanf("");
  *sum = static_cast<float>(total) * *scale;
}

template <class S>
void pack_integer(const float* const* rows, int tokens, int64_t columns, int group, int32_t* pairs,
                  float* scales, float* sums) {
  for (int t = 0; t < tokens; ++t)
    for (int64_t k = 0; k < columns; k += group)
      pack_group<S>(rows[t] + k, group, tokens, pairs + k / 2 * tokens + t,
                    scales + k / group * tokens + t, sums + k / group * tokens + t);
}

template <class S>
void pack_float(const float* const* rows, int tokens, int64_t columns, int64_t padded,
                float* values) {
  for (int64_t k = 0; k < columns; ++k)
    for (int t = 0; t < tokens; ++t) values[k * tokens + t] = rows[t][k];
  for (int64_t i = columns * tokens; i < padded * tokens; ++i) values[i] = 0;
}

}  // namespace mica::kernels

// Keys and values on their way into a quantized cache (ops/kv_quantization.h has the definition).
#pragma once

#include <cmath>

#include "ops/cuda/launch.h"
#include "ops/cuda/vector.h"
#include "tensor/dtype.h"

namespace mica::MICA_GPU {

// Where quantized vectors go, and what they become.
struct CodedCache {
  int bits;  // 8 or 4; 0: not quantized
  int group, groups;
  DType dtype;  // of scales and biases
  int code_bytes, vector_bytes;
  int block_size;
};

// A float as a number of the dtype.
MICA_DEVICE float rounded_to(DType dtype, float value) {
  if (dtype == DType::kBF16) return to_float(from_float<bf16>(value));
  if (dtype == DType::kF16) return to_float(from_float<f16>(value));
  return value;
}

// a / b correctly rounded, for b and results that are no subnormals (Markstein 1990); the operator
// calls a function for such, which costs a stack.
MICA_DEVICE float divide(float a, float b) {
  const float estimate = reciprocal_approx(b);
  const float inverse = fmaf(fmaf(-b, estimate, 1.0f), estimate, estimate);
  const float quotient = multiply_rounded(a, inverse);
  return fmaf(fmaf(-b, quotient, a), inverse, quotient);
}

struct AffinePair {
  float scale, bias;
};
// affine_step on the device: the same operations in the same order.
MICA_DEVICE AffinePair affine_pair(const CodedCache& c, float lowest, float highest) {
  const float last = c.bits == 8 ? 255.0f : 15.0f;
  const bool low = fabsf(lowest) > fabsf(highest);
  const float edge = low ? lowest : highest;
  float scale = fmaxf(divide(highest - lowest, last), 1e-7f);
  if (!low) scale = -scale;
  const float steps = rintf(divide(edge, scale));
  if (steps == 0) return {rounded_to(c.dtype, scale), 0};
  return {rounded_to(c.dtype, divide(edge, steps)), rounded_to(c.dtype, edge)};
}

MICA_DEVICE void store_pair(const CodedCache& c, std::byte* pairs, int group, AffinePair pair) {
  if (c.dtype == DType::kF32)
    store_values(reinterpret_cast<float*>(pairs) + 2 * group, {pair.scale, pair.bias});
  else if (c.dtype == DType::kBF16)
    store_values(reinterpret_cast<bf16*>(pairs) + 2 * group, {pair.scale, pair.bias});
  else
    store_values(reinterpret_cast<f16*>(pairs) + 2 * group, {pair.scale, pair.bias});
}

MICA_DEVICE void store_codes(const CodedCache& c, std::byte* codes, int unit, AffinePair pair,
                             const float (&values)[8]) {
  const float last = c.bits == 8 ? 255.0f : 15.0f;
  const float inverse = divide(1.0f, pair.scale);
  uint32_t code[8];
  MICA_UNROLL
  for (int i = 0; i < 8; ++i) {
    const float place = fminf(fmaxf((values[i] - pair.bias) * inverse, 0.0f), last);
    code[i] = as_bits(place + 8388608.0f) & 0xff;  // rounded to even
  }
  Bytes8 words = {};
  MICA_UNROLL
  for (int i = 0; i < 8; ++i) {
    if (c.bits == 8)
      words.word[i / 4] |= code[i] << 8 * (i % 4);
    else
      words.word[0] |= code[i] << 4 * i;
  }
  if (c.bits == 8)
    *reinterpret_cast<Bytes8*>(codes + 8 * unit) = words;
  else
    *reinterpret_cast<uint32_t*>(codes + 4 * unit) = words.word[0];
}

// Quantizes a vector of `size` floats in shared memory, `there`, into a row of the cache. A group
// of `lanes` lanes has it, no fewer than a group of elements has units of 8; all lanes of a warp
// come together, the same `size` for each.
MICA_DEVICE void quantize(const CodedCache& c, const float* staged, bool there, int size,
                          void* cache, int64_t row, int lane, int lanes,
                          Where where = Where::here()) {
  const int64_t piece = row / c.block_size;
  const int offset = static_cast<int>(row % c.block_size);
  std::byte* begin = static_cast<std::byte*>(cache) + piece * c.block_size * c.vector_bytes;
  std::byte* codes = begin + offset * c.code_bytes;
  std::byte* pairs = begin + c.block_size * c.code_bytes + offset * (c.vector_bytes - c.code_bytes);
  const int units = size / 8, of_group = c.group / 8;
  for (int first = 0; first < units; first += lanes) {
    const int unit = first + lane;
    const bool mine = there && unit < units;
    float values[8] = {};
    if (mine) load_values(staged + 8 * unit, values, where);
    float lowest = values[0], highest = values[0];
    MICA_UNROLL
    for (int i = 1; i < 8; ++i) {
      lowest = fminf(lowest, values[i]);
      highest = fmaxf(highest, values[i]);
    }
    for (int step = 1; step < of_group; step *= 2) {
      lowest =
          fminf(lowest, as_float(shuffle_xor(kFullWarp, as_bits(lowest), step, kWarpSize, where)));
      highest = fmaxf(highest,
                      as_float(shuffle_xor(kFullWarp, as_bits(highest), step, kWarpSize, where)));
    }
    if (!mine) continue;
    const AffinePair pair = affine_pair(c, lowest, highest);
    store_codes(c, codes, unit, pair, values);
    if (unit % of_group == 0) store_pair(c, pairs, unit / of_group, pair);
  }
}

}  // namespace mica::MICA_GPU

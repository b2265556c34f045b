// Quantized keys and values: the scheme of a layer, and the definition of codes, scales and biases
// that every kernel is tested against.
#pragma once

#include <vector>

#include "ops/batch.h"

namespace mica {

// What a user asks for: mlx-lm's --kv-bits and --kv-group-size.
struct KvQuantOptions {
  int32_t bits = 0;    // 8 or 4; 0: keys and values are kept as they are
  int32_t group = 64;  // elements that share a scale: 128, 64 or 32
};

// The specs with their schemes. A head size that the group does not divide gets the largest of 128,
// 64, 32 and 16 below it that does. Throws Error(kUsage) for other bits or groups, and where there
// is no such group.
std::vector<CacheSpec> with_quantization(std::vector<CacheSpec> specs,
                                         const KvQuantOptions& options);

// x = scale * code + bias of one group, both numbers of the scheme's dtype.
struct AffineStep {
  float scale, bias;
};
// From the group's lowest and highest element, as mlx: the end farther from 0 is the bias, and the
// scale is such that 0 has a code. In f32, step by step; then both are rounded to `dtype`.
AffineStep affine_step(float lowest, float highest, int bits, DType dtype);

// Where the parts of a vector lie.
struct KvPlace {
  std::byte* codes;
  std::byte* pairs;
};
KvPlace kv_place(const Tensor& cache, const KvScheme& scheme, int64_t size, int64_t block,
                 int64_t kv_head, int64_t offset);

// One vector, by its definition: code = (x - bias) * (1 / scale) rounded to even, within
// [0, 2^bits - 1].
// Padding stays as it is.
void quantize_vector(const float* x, int64_t size, const KvScheme& scheme, KvPlace to);
void dequantize_vector(KvPlace from, int64_t size, const KvScheme& scheme, float* out);

}  // namespace mica

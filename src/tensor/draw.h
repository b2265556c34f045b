// Random tensors. A value depends on the seed and its index alone, and is made by the functions
// below wherever it is drawn: a host and a device have the same bits.
#pragma once

#include "base/mix.h"
#include "tensor/tensor.h"

namespace mica {

enum class DrawKind : uint8_t {
  kBytes,   // `out` of any dtype: random bits & mask | fixed, for each 8 bytes
  kNormal,  // `out` f32, f16 or bf16: nearly normal, mean 0
  kAffine,  // `out`, `offsets` as above: scales of both signs, and -middle * scale
};

struct Draw {
  DrawKind kind = DrawKind::kBytes;
  Tensor out;
  Tensor offsets;  // kAffine: shape and dtype of `out`
  uint64_t seed = 0;
  uint64_t mask = ~uint64_t{0}, fixed = 0;  // kBytes
  float scale = 1;                          // kNormal: the deviation; kAffine: the mean size
  float middle = 0;                         // kAffine: the code that stands for 0
};

// Draws into host memory; the bits don't depend on the number of threads (0 = all).
void draw_on_host(const Draw& draw, int threads);

inline constexpr int kNormalsPerWord = 2;

// The sum of four uniform bytes has mean 510 and this deviation.
inline constexpr float kDeviationOfFourBytes = 147.8f;

// Value `part` of a word; `unit` is the deviation / kDeviationOfFourBytes.
MICA_ALSO_DEVICE constexpr float drawn_normal(uint64_t word, int part, float unit) {
  const auto half = static_cast<uint32_t>(word >> 32 * part);
  const uint32_t sum = (half & 0xff) + (half >> 8 & 0xff) + (half >> 16 & 0xff) + (half >> 24);
  return static_cast<float>(static_cast<int32_t>(sum) - 510) * unit;
}

// A scale within a quarter of `mean` in size, before rounding to its dtype. The product within is
// exact, so that a fused multiply-add gives the same.
MICA_ALSO_DEVICE constexpr float drawn_scale(uint64_t word, float mean) {
  const float part = static_cast<float>(static_cast<uint32_t>(word >> 40)) * 0x1p-24f;
  const float size = mean * (0.75f + 0.5f * part);
  return word & 1 ? size : -size;
}

}  // namespace mica

// The state of a row's softmax over some of its positions, and how two of them become one. Highest
// exponents are of base 2; a state without positions has minus infinity there and sums of 0.
//
// Sums are written as fmaf, so that the compiler has no choice of contraction: with
// Backend::deterministic the same row must get the same bits in every kernel.
#pragma once

#include <cmath>

#include "ops/cuda/ptx.h"

namespace mica::MICA_GPU {

inline constexpr float kNothing = -INFINITY;
inline constexpr float kLog2E = 1.44269504f;

struct FoldWeights {
  float highest;
  float total, part;  // by which the two states' sums count
};

// The state `total` with `part`, of later positions.
MICA_DEVICE FoldWeights fold_weights(float total, float part) {
  const float highest = fmaxf(total, part);
  const float base = highest == kNothing ? 0 : highest;
  return {highest, exp2_approx(total - base), exp2_approx(part - base)};
}
MICA_DEVICE float fold(const FoldWeights& w, float total, float part) {
  return fmaf(total, w.total, part * w.part);
}

// What the sums of a finished row are multiplied by: 1 / the sum of its weights and the sink's.
MICA_DEVICE float finish(float highest, float sum, const float* sink) {
  if (!sink) return sum > 0 ? 1 / sum : 0;
  const FoldWeights w = fold_weights(highest, *sink * kLog2E);
  return w.total / fmaf(sum, w.total, w.part);
}
// Plus zero, for zeros that have lost their sign in a fold.
MICA_DEVICE float finished(float value, float scale) {
  return fmaf(value, scale, 0.0f);
}

}  // namespace mica::MICA_GPU

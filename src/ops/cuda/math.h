// Elementary functions in f32, without local memory and at few instructions.
#pragma once

#include <cmath>

#include "ops/cuda/ptx.h"

namespace mica::MICA_GPU {

struct SinCos {
  float sine, cosine;
};

// Within 1e-7 for angles up to 2^20, 3e-6 up to 2^22 radians. sinf and cosf reduce large angles
// with an array in local memory; here k * pi/2 is taken off in two parts, k <= 2^22: with the first
// the fused product and sum is exact, as both terms are multiples of 2^-23 and cancel to below 1.
// Polynomials through Chebyshev nodes for |r| <= 0.9, which k off by rounding leaves room for.
MICA_DEVICE SinCos sin_cos(float angle) {
  const float k = rintf(multiply_rounded(angle, 0x1.45f306p-1f));  // 2 / pi
  float r = fmaf(k, -0x1.921fb6p+0f, angle);
  r = fmaf(k, 0x1.777a5cp-25f, r);
  const float z = multiply_rounded(r, r);
  const float odd = fmaf(fmaf(-0x1.992342p-13f, z, 0x1.1108ap-7f), z, -0x1.55555p-3f);
  const float even = fmaf(fmaf(0x1.9a85d8p-16f, z, -0x1.6c0ffep-10f), z, 0x1.555552p-5f);
  const float sine = fmaf(multiply_rounded(odd, z), r, r);
  const float cosine = fmaf(even, multiply_rounded(z, z), fmaf(z, -0.5f, 1.0f));
  const int quadrant = static_cast<int>(k);
  const float x = quadrant & 1 ? cosine : sine, y = quadrant & 1 ? sine : cosine;
  return {quadrant & 2 ? -x : x, (quadrant + 1) & 2 ? -y : y};
}

// 1 / (1 + exp(-x)), relative error below 1e-6 where it is above 1e-3.
MICA_DEVICE float sigmoid(float x) {
  return reciprocal_approx(1 + exp2_approx(x * -0x1.715476p+0f));  // -log2(e)
}

}  // namespace mica::MICA_GPU

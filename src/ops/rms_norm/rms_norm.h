#pragma once

#include "ops/backend.h"

namespace mica {

// With `residual`: residual += x first, and the sum is what is normalised.
// out[r, i] = x[r, i] * rsqrt(mean_i(x[r, i]^2) + eps) * weight[i]
struct RmsNormParams {
  Tensor x;         // [rows, D]
  Tensor residual;  // [rows, D], in and out, or empty
  Tensor weight;    // f32 [D]
  float eps = 1e-6f;
  Tensor out;  // [rows, D]; may be x
};

}  // namespace mica

#pragma once

#include "ops/backend.h"

namespace mica {

// out[r, i] = (x[r, i] - mean_i(x)) * rsqrt(mean_i((x - mean)^2) + eps) * weight[i] + bias[i]
struct LayerNormParams {
  Tensor x;       // [rows, D]
  Tensor weight;  // f32 [D]
  Tensor bias;    // f32 [D] or empty
  float eps = 1e-5f;
  Tensor out;  // [rows, D]; may be x
};

}  // namespace mica

// PTX on f32 registers where plain C++ says too little.
#pragma once

#include "ops/cuda/target.h"

namespace mica::MICA_GPU {

// "mul.rn": a product rounded for itself, which no compiler fuses with a sum. (fmaf is the other
// way round.)
MICA_DEVICE float multiply_rounded(float a, float b) {
#ifdef __CUDACC__
  float d;
  asm("mul.rn.f32 %0, %1, %2;" : "=f"(d) : "f"(a), "f"(b));
  return d;
#else
  return a * b;
#endif
}

// "rcp.approx.ftz": 1 / value within one unit in the last place; 0 for infinity and for values
// beyond 2^126.
MICA_DEVICE float reciprocal_approx(float value) {
#ifdef __CUDACC__
  float d;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(d) : "f"(value));
  return d;
#else
  return 1 / value;
#endif
}

}  // namespace mica::MICA_GPU

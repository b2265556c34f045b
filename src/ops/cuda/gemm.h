// The vendor's matrix product, for prefill and other large products.
#pragma once

#include "ops/cuda/runtime.h"

namespace mica::gpu {

// c[m, n] = sum_k a[m, k] * b[n, k], or c += …; row-major, on the device, sums in f32.
struct GemmParams {
  const void* a = nullptr;   // [m, k]
  const void* b = nullptr;   // [n, k]
  void* c = nullptr;         // [m, n]
  DType in = DType::kBF16;   // of a and b: bf16, f16 or f32
  DType out = DType::kBF16;  // of c: `in` or f32
  int64_t m = 0, n = 0, k = 0;
  int64_t c_stride = 0;  // elements from one row of c to the next; 0 = n
  bool add = false;
};

class Gemm {
 public:
  virtual ~Gemm() = default;
  // Whether `run` can be called; where not, Mica's own kernels must serve. The first call may take
  // a second and allocates the workspace: make it before memory is divided.
  virtual bool available() const = 0;
  // One stream at a time: products share a workspace.
  virtual void run(Stream& stream, const GemmParams& p) = 0;
};

}  // namespace mica::gpu

// Choice among the copies of a kernel that were compiled per instruction set.
#pragma once

#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/row_kernel.h"
#include "ops/cpu/softmax_kernel.h"

namespace mica {

template <typename T>
const T& pick_kernel(Backend& backend, const T& portable, const T& avx2, const T& avx512) {
  switch (cpu_isa(backend)) {
    case Isa::kPortable: return portable;
    case Isa::kAvx2: return avx2;
    case Isa::kAvx512Vnni:
    case Isa::kAvx512Bf16: return avx512;
  }
  return portable;
}

inline const kernels::RowKernel& row_kernel(Backend& backend) {
  return pick_kernel(backend, kernels::portable::kRowKernel, kernels::avx2::kRowKernel,
                     kernels::avx512::kRowKernel);
}

inline const kernels::SoftmaxKernel& softmax_kernel(Backend& backend) {
  return pick_kernel(backend, kernels::portable::kSoftmaxKernel, kernels::avx2::kSoftmaxKernel,
                     kernels::avx512::kSoftmaxKernel);
}

}  // namespace mica

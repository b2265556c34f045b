#pragma once

#include <memory>

#include "ops/cuda/gemm.h"
#include "ops/cuda/native/device.h"

namespace mica::cuda {

// Products by cuBLASLt. Where that is missing, `available` says no and logs why, once.
std::unique_ptr<gpu::Gemm> make_gemm(CudaDevice& device);

}  // namespace mica::cuda

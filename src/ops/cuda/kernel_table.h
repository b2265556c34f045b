// Both copies of the kernels.
#pragma once

#include "ops/cuda/gpu_backend.h"

namespace mica::cuda {
const gpu::KernelTable& kernel_table();  // only where the build has CUDA
}
namespace mica::simt {
const gpu::KernelTable& kernel_table();
}

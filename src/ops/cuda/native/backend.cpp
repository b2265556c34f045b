#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/gpu_backend.h"
#include "ops/cuda/kernel_table.h"
#include "ops/cuda/native/gemm.h"

namespace mica::cuda {

bool is_built() {
  return true;
}

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  auto device = open_device(options.device);
  auto gemm = make_gemm(*device);
  return std::make_unique<gpu::GpuBackend>(kernel_table(), std::move(device), std::move(gemm),
                                           options);
}

}  // namespace mica::cuda

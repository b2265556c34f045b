#include "ops/simt/simt_backend.h"

#include "ops/cuda/gpu_backend.h"
#include "ops/cuda/kernel_table.h"
#include "ops/simt/gemm.h"

namespace mica::simt {

std::unique_ptr<Backend> make_backend(const BackendOptions& options, const DeviceOptions& device) {
  DeviceOptions strict = device;
  strict.must_wait = true;
  return std::make_unique<gpu::GpuBackend>(kernel_table(), make_device(strict), make_gemm(),
                                           options);
}

}  // namespace mica::simt

#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/diagnosis.h"

namespace mica::cuda {

bool is_built() {
  return false;
}

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  gpu::throw_no_cuda_build(options.device);
}

}  // namespace mica::cuda

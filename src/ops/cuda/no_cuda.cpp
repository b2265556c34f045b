#include "ops/cuda/cuda_backend.h"

namespace mica::cuda {

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  throw Error(ErrorKind::kDevice,
              "[device] '{}': this program was built without CUDA. Build it where nvcc 12.8 or "
              "newer is (cmake -DMICA_CUDA=ON, see docs/cuda.md), or use --device cpu",
              options.device);
}

}  // namespace mica::cuda

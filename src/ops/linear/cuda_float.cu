// Products with float weights: which kernel serves which targets.
#include "ops/linear/cuda_float.h"

namespace mica::MICA_GPU {

void multiply_float(gpu::GpuBackend&, const Tensor&, const gpu::Slots&,
                    std::span<const LinearTarget>) {
  throw Error(ErrorKind::kDevice, "[linear] no product with float weights yet");
}

}  // namespace mica::MICA_GPU

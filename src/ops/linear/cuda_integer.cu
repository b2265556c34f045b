#include "ops/linear/cuda_integer.h"

namespace mica::MICA_GPU {

void multiply_integer(gpu::GpuBackend&, const Tensor&, const gpu::Slots&,
                      std::span<const LinearTarget>) {
  throw Error(ErrorKind::kDevice, "[linear] not there yet");
}

}  // namespace mica::MICA_GPU

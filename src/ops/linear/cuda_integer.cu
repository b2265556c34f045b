#include "ops/linear/cuda_linear.h"

namespace mica::MICA_GPU {

std::unique_ptr<gpu::GpuLinear> pack_integer(gpu::GpuBackend&, const LinearWeights&) {
  throw Error(ErrorKind::kDevice, "[linear] not there yet");
}
void multiply_integer(gpu::GpuBackend&, const Tensor&, const gpu::Slots&,
                      std::span<const LinearTarget>) {
  throw Error(ErrorKind::kDevice, "[linear] not there yet");
}
void expand_integer(gpu::GpuBackend&, const Expand&) {
  throw Error(ErrorKind::kDevice, "[linear] not there yet");
}

}  // namespace mica::MICA_GPU

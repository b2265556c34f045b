#include "ops/linear/cuda_linear.h"

namespace mica::MICA_GPU {

std::unique_ptr<gpu::GpuLinear> pack_float(gpu::GpuBackend&, const LinearWeights&) {
  throw Error(ErrorKind::kDevice, "[linear] not there yet");
}
void multiply_float(gpu::GpuBackend&, const Tensor&, const gpu::Slots&,
                    std::span<const LinearTarget>) {
  throw Error(ErrorKind::kDevice, "[linear] not there yet");
}
void expand_float(gpu::GpuBackend&, const Expand&) {
  throw Error(ErrorKind::kDevice, "[linear] not there yet");
}

}  // namespace mica::MICA_GPU

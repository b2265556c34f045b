#include "ops/linear/cuda_float_mma.h"

namespace mica::MICA_GPU {

template void start_mma<bf16>(gpu::GpuBackend&, const gpu::Slots&, ProductArgs);
template void start_mma<f16>(gpu::GpuBackend&, const gpu::Slots&, ProductArgs);
template void start_mma<Mxfp8>(gpu::GpuBackend&, const gpu::Slots&, ProductArgs);

}  // namespace mica::MICA_GPU

// The launch behind ops/cuda/launch.h, and the kernel with which a device is tried. For nvcc only.
#include "ops/cuda/launch.h"
#include "ops/cuda/native/device.h"
#include "ops/cuda/native/status.h"

namespace mica::cuda {
namespace {

MICA_KERNEL MICA_LAUNCH_BOUNDS(32) void empty_kernel() {}

std::string text_of(Dim3 d) {
  return std::to_string(d.x) + " x " + std::to_string(d.y) + " x " + std::to_string(d.z);
}

}  // namespace

cudaError_t try_kernel() {
  empty_kernel<<<1, 32>>>();
  const cudaError_t status = cudaGetLastError();
  return status != cudaSuccess ? status : cudaDeviceSynchronize();
}

void start_kernel(gpu::Stream& stream, const LaunchConfig& config, const void* kernel,
                  void** parameters) {
  cudaLaunchAttribute early = {};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t native = {};
  native.gridDim = dim3(config.grid.x, config.grid.y, config.grid.z);
  native.blockDim = dim3(config.block.x, config.block.y, config.block.z);
  native.dynamicSmemBytes = config.shared_bytes;
  native.stream = static_cast<cudaStream_t>(stream.native());
  native.attrs = &early;
  native.numAttrs = device_of(stream).prepare(kernel, config.shared_bytes, config.name) ? 1 : 0;
  const cudaError_t status = cudaLaunchKernelExC(&native, kernel, parameters);
  if (status != cudaSuccess)
    throw_status(status, std::string("kernel '") + config.name + "', grid " + text_of(config.grid) +
                             ", block " + text_of(config.block) + ", " +
                             std::to_string(config.shared_bytes) + " bytes of shared memory");
}

}  // namespace mica::cuda

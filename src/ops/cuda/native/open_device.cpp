// From "cuda:1" to a device, or to the reason why not.
#include <charconv>

#include "base/error.h"
#include "ops/cuda/diagnosis.h"
#include "ops/cuda/native/device.h"
#include "ops/cuda/native/status.h"

namespace mica::cuda {
namespace {

constexpr int kOldest = 80;  // compute capability 8.0

int index_of(const std::string& asked) {
  if (asked == "cuda") return 0;
  int index = -1;
  const char* const begin = asked.data() + std::string("cuda:").size();
  const char* const end = asked.data() + asked.size();
  const auto [stop, fault] = std::from_chars(begin, end, index);
  if (fault != std::errc() || stop != end || index < 0)
    throw Error(ErrorKind::kUsage, "[device] expected cuda or cuda:N with N from 0; found '{}'",
                asked);
  return index;
}

[[noreturn]] void unusable(const std::string& asked, cudaError_t status) {
  cudaGetLastError();
  gpu::throw_unusable(asked, status,
                      fmt::format("{}: {}", cudaGetErrorName(status), cudaGetErrorString(status)));
}

int count_devices(const std::string& asked) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) unusable(asked, status);
  if (count == 0) unusable(asked, cudaErrorNoDevice);
  return count;
}

std::string list_devices(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    const bool known = cudaGetDeviceProperties(&properties, i) == cudaSuccess;
    text += fmt::format("{}cuda:{} {}", i ? ", " : "", i, known ? properties.name : "(no answer)");
  }
  return text;
}

void check_capability(const std::string& asked, int index) {
  cudaDeviceProp properties;
  const cudaError_t status = cudaGetDeviceProperties(&properties, index);
  if (status != cudaSuccess) unusable(asked, status);
  if (properties.major * 10 + properties.minor < kOldest)
    throw Error(
        ErrorKind::kDevice,
        "[device] '{}': {} has compute capability {}.{}, Mica's kernels need {}.{} or newer "
        "(Ampere); use --device cpu",
        asked, properties.name, properties.major, properties.minor, kOldest / 10, kOldest % 10);
}

// A program compiled for other GPUs only, or whose PTX the driver can't compile.
void check_code(const std::string& asked, const gpu::DeviceProperties& gpu) {
  const cudaError_t status = try_kernel();
  switch (status) {
    case cudaSuccess: return;
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorInvalidPtx:
    case cudaErrorJitCompilerNotFound:
    case cudaErrorJitCompilationDisabled:
      throw Error(ErrorKind::kDevice,
                  "[device] '{}': {} has compute capability {}.{}, this program holds code for {}: "
                  "{}. Build it with -DMICA_CUDA_ARCHITECTURES={}{}, or =all",
                  asked, gpu.name, gpu.compute_capability / 10, gpu.compute_capability % 10,
                  MICA_ARCHITECTURES, describe(status), gpu.compute_capability,
                  gpu.compute_capability >= 90 ? "a" : "");
    default: unusable(asked, status);
  }
}

}  // namespace

std::unique_ptr<CudaDevice> open_device(const std::string& asked) {
  const int index = index_of(asked);
  const int count = count_devices(asked);
  if (index >= count)
    throw Error(ErrorKind::kDevice, "[device] '{}': there {} {} GPU{}: {}", asked,
                count == 1 ? "is" : "are", count, count == 1 ? "" : "s", list_devices(count));
  check_capability(asked, index);
  const cudaError_t status = select_device(index);  // makes the GPU's context
  if (status != cudaSuccess) unusable(asked, status);
  auto device = std::make_unique<CudaDevice>(index);
  check_code(asked, device->properties());
  return device;
}

}  // namespace mica::cuda

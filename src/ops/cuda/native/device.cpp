#include "ops/cuda/native/device.h"

#include <algorithm>

#include "base/error.h"
#include "ops/cuda/native/handle.h"
#include "ops/cuda/native/stream.h"

namespace mica::cuda {
namespace {

// Dynamic shared memory that a kernel has without asking (CUDA Programming Guide, compute
// capabilities).
constexpr size_t kSharedUnasked = 48 * 1024;

int attribute(cudaDeviceAttr name, int index) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, name, index), "cudaDeviceGetAttribute");
  return value;
}

// 13000 is 13.0.
std::string versions() {
  int driver = 0, runtime = 0;
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  return fmt::format("driver for CUDA {}.{}, runtime {}.{}", driver / 1000, driver % 1000 / 10,
                     runtime / 1000, runtime % 1000 / 10);
}

gpu::DeviceProperties read_properties(int index) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  return {.name = properties.name,
          .compute_capability = properties.major * 10 + properties.minor,
          .multiprocessors = properties.multiProcessorCount,
          .threads_per_block = properties.maxThreadsPerBlock,
          .shared_bytes =
              static_cast<size_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, index)),
          .memory_total = properties.totalGlobalMem,
          .memory_free = 0,
          .versions = versions()};
}

// Programmatic launches became edges of graphs with the driver of CUDA 12.3.
bool driver_knows_early_starts() {
  int version = 0;
  check(cudaDriverGetVersion(&version), "cudaDriverGetVersion");
  return version >= 12030;
}

}  // namespace

CudaDevice::CudaDevice(int index)
    : index_(index),
      properties_(read_properties(index)),
      early_starts_(properties_.compute_capability >= 90 && driver_knows_early_starts()) {}

cudaError_t select_device(int index) {
  thread_local int current = -1;
  if (current == index) return cudaSuccess;
  const cudaError_t status = cudaSetDevice(index);
  current = status == cudaSuccess ? index : -1;
  return status;
}

void CudaDevice::use() const {
  check(select_device(index_), "cudaSetDevice");
}

gpu::DeviceProperties CudaDevice::properties() const {
  use();
  gpu::DeviceProperties now = properties_;
  check(cudaMemGetInfo(&now.memory_free, &now.memory_total), "cudaMemGetInfo");
  return now;
}

Buffer CudaDevice::allocate(size_t bytes) {
  use();
  const OutsideOfCapture allowed;
  void* data = nullptr;
  // A byte at least: null would mean an absent tensor.
  const cudaError_t status = cudaMalloc(&data, std::max<size_t>(bytes, 1));
  if (status != cudaSuccess) throw_status(status, fmt::format("cudaMalloc of {} bytes", bytes));
  return Buffer(data, bytes, [index = index_](void* memory, size_t) {
    select_device(index);
    const OutsideOfCapture freeing;
    cudaFree(memory);
  });
}

Buffer CudaDevice::allocate_pinned(size_t bytes) {
  use();
  const OutsideOfCapture allowed;
  void* data = nullptr;
  const cudaError_t status =
      cudaHostAlloc(&data, std::max<size_t>(bytes, 1), cudaHostAllocPortable);
  if (status == cudaErrorMemoryAllocation) {  // the GPU's free memory has no part in it
    cudaGetLastError();
    throw Error(ErrorKind::kOutOfMemory,
                "[cuda] cudaHostAlloc of {} bytes: {}; the limit of "
                "pinned memory is the system's (ulimit -l, free memory)",
                bytes, describe(status));
  }
  if (status != cudaSuccess) throw_status(status, fmt::format("cudaHostAlloc of {} bytes", bytes));
  return Buffer(data, bytes, [index = index_](void* memory, size_t) {
    select_device(index);
    const OutsideOfCapture freeing;
    cudaFreeHost(memory);
  });
}

std::unique_ptr<gpu::Stream> CudaDevice::make_stream() {
  return std::make_unique<CudaStream>(*this);
}

std::unique_ptr<gpu::Event> CudaDevice::make_event() {
  use();
  return std::make_unique<CudaEvent>();
}

void CudaDevice::synchronize() {
  use();
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

CudaDevice::Kernel CudaDevice::load(const void* kernel, size_t shared_bytes,
                                    const char* name) const {
  const OutsideOfCapture allowed;
  cudaFuncAttributes attributes;
  cudaError_t status = cudaFuncGetAttributes(&attributes, kernel);
  if (status != cudaSuccess) throw_status(status, fmt::format("kernel '{}'", name));
  Kernel loaded = {.starts_early = early_starts_ && attributes.ptxVersion >= 90,
                   .shared_bytes = kSharedUnasked - attributes.sharedSizeBytes};
  if (shared_bytes <= loaded.shared_bytes) return loaded;
  loaded.shared_bytes = properties_.shared_bytes - attributes.sharedSizeBytes;
  status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                static_cast<int>(loaded.shared_bytes));
  if (status != cudaSuccess)
    throw_status(status,
                 fmt::format("kernel '{}', {} bytes of shared memory", name, loaded.shared_bytes));
  return loaded;
}

bool CudaDevice::prepare(const void* kernel, size_t shared_bytes, const char* name) {
  std::lock_guard lock(mutex_);
  auto found = kernels_.find(kernel);
  if (found == kernels_.end() ||
      (found->second.shared_bytes < shared_bytes && shared_bytes <= properties_.shared_bytes))
    found = kernels_.insert_or_assign(kernel, load(kernel, shared_bytes, name)).first;
  if (shared_bytes > found->second.shared_bytes)
    throw Error(ErrorKind::kInternal,
                "[cuda] kernel '{}' did not start: {} bytes of shared memory, {} at most", name,
                shared_bytes, found->second.shared_bytes);
  return found->second.starts_early;
}

}  // namespace mica::cuda

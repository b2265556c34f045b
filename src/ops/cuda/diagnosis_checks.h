// The checks of diagnose(), in two files. Each looks for one way in which a GPU is not usable.
#pragma once

#include <optional>
#include <string>

#include "ops/cuda/diagnosis.h"

namespace mica::gpu {

// Numbers of cudaError_t and CUresult, which agree where both have one (driver_types.h, cuda.h).
enum CudaStatus {
  kCudaOutOfMemory = 2,
  kCudaStubLibrary = 34,
  kCudaInsufficientDriver = 35,
  kCudaDeviceUnavailable = 46,
  kCudaNoDevice = 100,
  kCudaInvalidDevice = 101,
  kCudaNoKernelImage = 209,
  kCudaEccUncorrectable = 214,
  kCudaUnsupportedPtx = 222,
  kCudaSystemNotReady = 802,
  kCudaDriverMismatch = 803,
  kCudaCompatNotSupported = 804,
};
constexpr int kNvmlDriverMismatch = 18;  // nvml.h
constexpr int kOldestGpu = 80;           // compute capability that Mica's kernels need

struct Case {
  const GpuProbe& probe;
  const GpuBuild& build;
  const Ask& ask;
  int status;  // of the runtime, else of cuInit, else -1
  int index;   // N of cuda:N
};

using Check = std::optional<Finding> (*)(const Case&);

// From the hardware up to a driver that answers; and from there to the device. In order.
std::optional<Finding> check_driver(const Case& c);
std::optional<Finding> check_device(const Case& c);
// Before both: no driver mends it.
std::optional<Finding> check_age(const Case& c);

// "NVIDIA driver 580" for CUDA 13, or "".
std::string needed_driver(int runtime);
// What to type to install a driver, by distribution.
std::string install_driver_command(const HostFacts& host);
// The device that was asked for, as far as it can be told apart; or null.
const GpuFacts* asked_gpu(const Case& c);
// GPUs that CUDA_VISIBLE_DEVICES leaves.
int visible_count(const GpuProbe& probe);

}  // namespace mica::gpu

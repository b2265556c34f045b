// gpu::Device on the CUDA runtime.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <mutex>
#include <unordered_map>

#include "ops/cuda/runtime.h"

namespace mica::cuda {

class CudaDevice final : public gpu::Device {
 public:
  // GPU `index` of the process, which can be used (open_device found out).
  explicit CudaDevice(int index);

  gpu::DeviceProperties properties() const override;
  Buffer allocate(size_t bytes) override;
  Buffer allocate_pinned(size_t bytes) override;
  std::unique_ptr<gpu::Stream> make_stream() override;
  std::unique_ptr<gpu::Event> make_event() override;
  void synchronize() override;

  // Makes it the device of the calling thread; every call of CUDA needs that.
  void use() const;
  int index() const { return index_; }

  // Lets a kernel be launched with so much dynamic shared memory, and tells whether a launch may
  // start while earlier kernels run: it may where the kernel's code waits for them by itself
  // (griddepcontrol, which code for 9.0 and later has; older code on such a GPU has not).
  bool prepare(const void* kernel, size_t shared_bytes, const char* name);

 private:
  struct Kernel {
    bool starts_early = false;
    size_t shared_bytes = 0;  // dynamic, that a launch may ask for
  };
  Kernel load(const void* kernel, size_t shared_bytes, const char* name) const;

  const int index_;
  gpu::DeviceProperties properties_;
  const bool early_starts_;  // that the driver knows them, in graphs too
  std::mutex mutex_;
  std::unordered_map<const void*, Kernel> kernels_;
};

// The device that the user asked for as "cuda" or "cuda:N". Throws Error(kUsage) for another name,
// Error(kDevice) with reason and remedy where it can't be used.
std::unique_ptr<CudaDevice> open_device(const std::string& asked);

// The device of a stream that a CudaDevice made.
CudaDevice& device_of(gpu::Stream& stream);

// Makes GPU `index` that of the calling thread, with a context at the first use.
cudaError_t select_device(int index);

// Runs an empty kernel: whether this program has code for the thread's device.
cudaError_t try_kernel();

}  // namespace mica::cuda

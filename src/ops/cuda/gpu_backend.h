// The frame that the `cuda` and `simt` backends share: memory, one stream, scratch memory, uploads.
// What differs is the device below and the copy of the kernels (KernelTable).
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "ops/backend.h"
#include "ops/cuda/gemm.h"
#include "ops/cuda/runtime.h"

namespace mica::gpu {

class GpuBackend;

// One copy of the kernels: mica::cuda::kernel_table() or mica::simt::kernel_table().
struct KernelTable {
  const char* kind;  // "cuda", "simt"
  Ops ops;
  // Repacks weights whose tensors lie on the device, in the backend's stream.
  std::unique_ptr<PreparedLinear> (*prepare)(GpuBackend&, const LinearWeights& on_device);
};

class GpuBackend final : public Backend {
 public:
  GpuBackend(const KernelTable& kernels, std::unique_ptr<Device> device, std::unique_ptr<Gemm> gemm,
             const BackendOptions& options);
  ~GpuBackend() override;

  const Ops& ops() const override { return kernels_.ops; }
  DeviceInfo info() const override;
  Buffer allocate(size_t bytes) override { return device_->allocate(bytes); }
  void upload(void* device, const void* host, size_t bytes) override;
  void download(void* host, const void* device, size_t bytes) override;
  void synchronize() override { stream_->synchronize(); }
  DType activation_dtype(DType checkpoint) const override;
  std::unique_ptr<PreparedLinear> prepare(const LinearWeights& weights) override;
  bool can_record() const override { return true; }
  void begin_recording() override;
  std::unique_ptr<Recording> end_recording() override;
  void replay(const Recording& recording) override;

  // For operations.
  Stream& stream() { return *stream_; }
  Device& device() { return *device_; }
  const DeviceProperties& properties() const { return properties_; }
  Gemm& gemm() { return *gemm_; }
  // The same bits for a row whatever else is in the batch; kernels choose by it.
  bool deterministic() const { return deterministic_; }
  // Device memory of undefined content, 256-byte aligned, for the operation that calls: the next
  // operation may get the same. It never moves once a size was asked for, so graphs may hold it.
  std::byte* scratch(size_t bytes) { return scratch_of(held_ + bytes) + held_; }

  // Scratch memory that operations don't get which are called while this lives.
  class HeldScratch {
   public:
    HeldScratch(GpuBackend& backend, size_t bytes)
        : data(backend.scratch(bytes)), backend_(backend) {
      before_ = std::exchange(backend.held_, backend.held_ + (bytes + 255) / 256 * 256);
    }
    ~HeldScratch() { backend_.held_ = before_; }
    HeldScratch(const HeldScratch&) = delete;
    HeldScratch& operator=(const HeldScratch&) = delete;
    std::byte* const data;

   private:
    GpuBackend& backend_;
    size_t before_;
  };

 private:
  class Staging;
  LinearWeights upload_raw(const LinearWeights& host);
  std::byte* scratch_of(size_t bytes);

  const KernelTable& kernels_;
  std::unique_ptr<Device> device_;
  DeviceProperties properties_;
  std::unique_ptr<Gemm> gemm_;
  bool deterministic_;
  bool recording_ = false;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Staging> staging_;
  Buffer raw_;                   // the checkpoint's bytes of the layer in preparation
  std::vector<Buffer> scratch_;  // the last is in use, the others may be in graphs
  size_t held_ = 0;              // bytes at its start
};

// The backend that an operation was called with.
inline GpuBackend& as_gpu(Backend& backend) {
  return static_cast<GpuBackend&>(backend);
}

}  // namespace mica::gpu

#include "ops/cuda/gpu_backend.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>

#include "ops/cpu/threads.h"
#include "tensor/quantization.h"

namespace mica::gpu {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kKeptRaw = size_t{64} << 20;

size_t aligned(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

class GraphRecording final : public Recording {
 public:
  explicit GraphRecording(std::unique_ptr<Graph> graph) : graph(std::move(graph)) {}
  const std::unique_ptr<Graph> graph;
};

}  // namespace

// A ring of pinned memory: the caller's bytes are copied into it before `upload` returns, and from
// there to the device when the stream gets to it. Large pieces are read by several threads, since
// one alone reads a mapped file slower than PCIe carries it.
class GpuBackend::Staging {
 public:
  explicit Staging(Device& device) {
    for (Slot& slot : slots_) {
      slot.memory = device.allocate_pinned(kSlotBytes);
      slot.copied = device.make_event();
    }
  }

  void upload(Stream& stream, std::byte* to, const std::byte* from, size_t bytes) {
    while (bytes > 0) {
      Slot& slot = slots_[next_];
      next_ = (next_ + 1) % slots_.size();
      const size_t piece = std::min(bytes, kSlotBytes);
      slot.copied->synchronize();
      read(static_cast<std::byte*>(slot.memory.data()), from, piece);
      stream.copy(to, slot.memory.data(), piece);
      stream.record(*slot.copied);
      to += piece;
      from += piece;
      bytes -= piece;
    }
  }

 private:
  static constexpr size_t kSlotBytes = size_t{8} << 20;
  static constexpr size_t kGrain = size_t{1} << 20;  // bytes that a thread reads at a time
  static constexpr int kReaders = 8;                 // at most
  struct Slot {
    Buffer memory;
    std::unique_ptr<Event> copied;
  };
  void read(std::byte* to, const std::byte* from, size_t bytes) {
    if (bytes <= kGrain) {
      std::memcpy(to, from, bytes);
      return;
    }
    if (!readers_) {
      const auto cores = static_cast<int>(std::thread::hardware_concurrency());
      readers_ = std::make_unique<ThreadPool>(std::clamp(cores, 1, kReaders));
    }
    readers_->parallel_for(
        static_cast<int64_t>(bytes), kGrain, [&](int64_t begin, int64_t end, int) {
          std::memcpy(to + begin, from + begin, static_cast<size_t>(end - begin));
        });
  }

  std::array<Slot, 4> slots_;
  std::unique_ptr<ThreadPool> readers_;  // from the first large upload on
  size_t next_ = 0;
};

GpuBackend::GpuBackend(const KernelTable& kernels, std::unique_ptr<Device> device,
                       std::unique_ptr<Gemm> gemm, const BackendOptions& options)
    : kernels_(kernels),
      device_(std::move(device)),
      properties_(device_->properties()),
      gemm_(std::move(gemm)),
      deterministic_(options.deterministic),
      stream_(device_->make_stream()),
      staging_(std::make_unique<Staging>(*device_)) {}

GpuBackend::~GpuBackend() {
  try {
    stream_->synchronize();
  } catch (const std::exception&) {  // its work is lost with it
  }
}

DeviceInfo GpuBackend::info() const {
  const DeviceProperties now = device_->properties();
  std::string name = fmt::format("{}, compute capability {}.{}", now.name,
                                 now.compute_capability / 10, now.compute_capability % 10);
  if (!now.versions.empty()) name += ", " + now.versions;
  return {.name = std::move(name),
          .kind = kernels_.kind,
          .memory_total = now.memory_total,
          .memory_free = now.memory_free,
          .own_memory = true};
}

void GpuBackend::begin_recording() {
  stream_->begin_capture();
  recording_ = true;
}

std::unique_ptr<Recording> GpuBackend::end_recording() {
  recording_ = false;
  return std::make_unique<GraphRecording>(stream_->end_capture());
}

void GpuBackend::replay(const Recording& recording) {
  stream_->replay(*dynamic_cast<const GraphRecording&>(recording).graph);
}

void GpuBackend::upload(void* device, const void* host, size_t bytes) {
  MICA_CHECK_MSG(!recording_, "an upload of {} bytes within a recording", bytes);
  staging_->upload(*stream_, static_cast<std::byte*>(device), static_cast<const std::byte*>(host),
                   bytes);
}

void GpuBackend::download(void* host, const void* device, size_t bytes) {
  stream_->copy(host, device, bytes);
  stream_->synchronize();
}

DType GpuBackend::activation_dtype(DType checkpoint) const {
  return checkpoint == DType::kF16 || checkpoint == DType::kBF16 ? checkpoint : DType::kF32;
}

LinearWeights GpuBackend::upload_raw(const LinearWeights& host) {
  size_t wanted = 0;
  for (const Tensor* tensor : {&host.weight, &host.scales, &host.biases, &host.bias})
    if (!tensor->empty()) wanted += aligned(tensor->bytes());
  if (raw_.size() < wanted) {
    stream_->synchronize();
    raw_.reset();
    raw_ = device_->allocate(wanted);
  }
  LinearWeights raw = host;
  raw.on_device = true;
  auto* next = static_cast<std::byte*>(raw_.data());
  for (Tensor* tensor : {&raw.weight, &raw.scales, &raw.biases, &raw.bias}) {
    if (tensor->empty()) continue;
    upload(next, tensor->data, tensor->bytes());
    tensor->data = next;
    next += aligned(tensor->bytes());
  }
  return raw;
}

std::unique_ptr<PreparedLinear> GpuBackend::prepare(const LinearWeights& weights) {
  auto prepared = kernels_.prepare(*this, weights.on_device ? weights : upload_raw(weights));
  // Products read weights before they wait for the kernel before them.
  stream_->synchronize();
  if (raw_.size() > kKeptRaw) raw_.reset();  // a large layer's memory is the cache's later
  return prepared;
}

std::byte* GpuBackend::scratch_of(size_t bytes) {
  if (scratch_.empty() || scratch_.back().size() < bytes) {
    MICA_CHECK_MSG(!recording_, "{} bytes of scratch wanted within a recording", bytes);
    const size_t before = scratch_.empty() ? 0 : scratch_.back().size();
    scratch_.push_back(device_->allocate(std::max(aligned(bytes), 2 * before)));
  }
  return static_cast<std::byte*>(scratch_.back().data());
}

}  // namespace mica::gpu

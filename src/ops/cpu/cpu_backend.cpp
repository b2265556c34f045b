#include "ops/cpu/cpu_backend.h"

#include <cstring>

#include "base/machine.h"
#include "ops/linear/cpu_prepared.h"

namespace mica {
namespace {

class CpuBackend final : public Backend {
 public:
  CpuBackend(const BackendOptions& options, const Ops& table)
      : table_(table),
        isa_(choose_isa(options.isa)),
        threads_(options.threads > 0 ? options.threads : default_threads()) {}

  const Ops& ops() const override { return table_; }

  DeviceInfo info() const override {
    const MemoryFacts memory = read_memory();
    return {fmt::format("{}, {} thread{}, {}", processor_name(), threads_.size(),
                        threads_.size() == 1 ? "" : "s", name(isa_)),
            "cpu", memory.total, memory.available, threads_.size()};
  }

  Buffer allocate(size_t bytes) override {
    const size_t free = read_memory().available;
    if (free != 0 && bytes > free)
      throw Error(ErrorKind::kOutOfMemory, "[cpu] {} bytes of memory wanted, {} are free", bytes,
                  free);
    return allocate_host(bytes);
  }
  void upload(void* device, const void* host, size_t bytes) override {
    if (bytes != 0) std::memcpy(device, host, bytes);
  }
  void download(void* host, const void* device, size_t bytes) override {
    if (bytes != 0) std::memcpy(host, device, bytes);
  }
  void synchronize() override {}

  DType activation_dtype(DType) const override { return DType::kF32; }

  std::unique_ptr<PreparedLinear> prepare(const LinearWeights& weights) override {
    return prepare_cpu(weights, threads_);
  }

  ThreadPool& threads() { return threads_; }
  Isa isa() const { return isa_; }
  void* scratch(size_t bytes) {
    if (scratch_.size() < bytes || scratch_.data() == nullptr) {
      scratch_.reset();
      scratch_ = allocate_host(bytes + bytes / 4);
    }
    return scratch_.data();
  }

 private:
  const Ops& table_;
  Isa isa_;
  ThreadPool threads_;
  Buffer scratch_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options, const Ops& table) {
  return std::make_unique<CpuBackend>(options, table);
}

ThreadPool& cpu_threads(Backend& backend) {
  return static_cast<CpuBackend&>(backend).threads();
}
Isa cpu_isa(Backend& backend) {
  return static_cast<CpuBackend&>(backend).isa();
}
void* cpu_scratch(Backend& backend, size_t bytes) {
  return static_cast<CpuBackend&>(backend).scratch(bytes);
}

}  // namespace mica

#include "ops/simt/device.h"

#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <new>
#include <utility>
#include <vector>

#include "base/error.h"
#include "ops/simt/grid.h"
#include "ops/simt/sanitizers.h"
#include "ops/simt/shared_use.h"

namespace mica::simt {
namespace {

constexpr size_t kGuard = 256;  // bytes before and after an allocation, the alignment too
constexpr unsigned char kGuardByte = 0xdb;
constexpr auto kAlign = std::align_val_t{kGuard};

using Work = std::function<void()>;
class SimtStream;

class SimtEvent : public gpu::Event {
 public:
  void synchronize() override;
  bool done() const override;
  SimtStream* stream = nullptr;
  uint64_t position = 0;  // work of the stream that must be done
};

class SimtGraph : public gpu::Graph {
 public:
  explicit SimtGraph(std::vector<Work> work)
      : work_(std::make_shared<std::vector<Work>>(std::move(work))) {}
  size_t nodes() const override { return work_->size(); }
  std::shared_ptr<const std::vector<Work>> work() const { return work_; }

 private:
  std::shared_ptr<const std::vector<Work>> work_;
};

// Memory between guard zones, unwritten at first.
class Memory {
 public:
  explicit Memory(size_t total) : total_(total) {}
  ~Memory() { MICA_CHECK_MSG(blocks_.empty(), "a buffer outlived its simt device"); }

  void* allocate(size_t bytes) {
    if (bytes > total_ - used_)
      throw Error(ErrorKind::kOutOfMemory, "[simt] {} bytes wanted, {} of {} are free", bytes,
                  total_ - used_, total_);
    auto* base = static_cast<std::byte*>(::operator new(bytes + 2 * kGuard, kAlign));
    std::memset(base, kGuardByte, bytes + 2 * kGuard);
    fill_unwritten(base + kGuard, bytes);
    poison(base, kGuard);
    poison(base + kGuard + bytes, kGuard);
    blocks_[base + kGuard] = bytes;
    used_ += bytes;
    return base + kGuard;
  }
  void release(void* data) {
    const auto found = blocks_.find(static_cast<std::byte*>(data));
    MICA_CHECK(found != blocks_.end());
    std::byte* base = found->first - kGuard;
    used_ -= found->second;
    unpoison(base, found->second + 2 * kGuard);
    blocks_.erase(found);
    ::operator delete(base, kAlign);
  }
  void check_guards() const {
    if (kAsan) return;  // stopped at the write
    for (const auto& [data, bytes] : blocks_)
      for (size_t i = 0; i < kGuard; ++i) {
        const bool before = data[-1 - static_cast<std::ptrdiff_t>(i)] != std::byte{kGuardByte};
        if (before || data[bytes + i] != std::byte{kGuardByte})
          throw Error(ErrorKind::kInternal,
                      "[simt] write {} bytes {} a device allocation of {} bytes", i,
                      before ? "before" : "past the end of", bytes);
      }
  }
  size_t total() const { return total_; }
  size_t available() const { return total_ - used_; }

 private:
  size_t total_, used_ = 0;
  std::map<std::byte*, size_t> blocks_;
};

class SimtDevice;

class SimtStream : public gpu::Stream {
 public:
  explicit SimtStream(SimtDevice& device) : device_(device) {}
  ~SimtStream() override;

  void copy(void* to, const void* from, size_t bytes) override {
    enqueue([=] {
      if (bytes) std::memmove(to, from, bytes);
    });
  }
  void fill(void* to, uint8_t byte, size_t bytes) override {
    enqueue([=] {
      if (bytes) std::memset(to, byte, bytes);
    });
  }
  void call(Work function) override { enqueue(std::move(function)); }
  void record(gpu::Event& event) override {
    MICA_CHECK_MSG(!capturing_, "an event recorded within a capture");
    auto& own = dynamic_cast<SimtEvent&>(event);
    own.stream = this;
    own.position = enqueued_;
  }
  void wait(const gpu::Event& event) override {
    const auto& other = dynamic_cast<const SimtEvent&>(event);
    if (!other.stream) return;
    enqueue([stream = other.stream, position = other.position] { stream->run_until(position); });
  }
  void synchronize() override;
  void begin_capture() override {
    MICA_CHECK(!capturing_);
    capturing_ = true;
  }
  std::unique_ptr<gpu::Graph> end_capture() override {
    MICA_CHECK(capturing_);
    capturing_ = false;
    return std::make_unique<SimtGraph>(std::move(captured_));
  }
  void replay(const gpu::Graph& graph) override {
    enqueue([work = dynamic_cast<const SimtGraph&>(graph).work()] {
      for (const Work& node : *work) node();
    });
  }
  void* native() override { return nullptr; }

  void enqueue(Work work);
  void run_until(uint64_t position) {
    while (done_ < position && !queue_.empty()) {
      const Work work = std::move(queue_.front());
      queue_.pop_front();
      ++done_;
      work();
    }
  }
  void run_all() { run_until(enqueued_); }
  uint64_t done() const { return done_; }
  SimtDevice& device() { return device_; }

 private:
  SimtDevice& device_;
  std::deque<Work> queue_;
  uint64_t enqueued_ = 0, done_ = 0;
  bool capturing_ = false;
  std::vector<Work> captured_;
};

class SimtDevice : public gpu::Device {
 public:
  explicit SimtDevice(const DeviceOptions& options)
      : options_(options), memory_(options.memory_bytes), random_(options.schedule.seed) {}
  ~SimtDevice() override { MICA_CHECK_MSG(streams_.empty(), "a stream outlived its simt device"); }

  gpu::DeviceProperties properties() const override {
    return {.name = "SIMT emulator",
            .compute_capability = 89,
            .multiprocessors = 4,
            .shared_bytes = options_.shared_bytes,
            .memory_total = memory_.total(),
            .memory_free = memory_.available()};
  }
  Buffer allocate(size_t bytes) override {
    void* data = memory_.allocate(bytes);
    return Buffer(data, bytes, [this](void* memory, size_t) {
      finish_all();
      memory_.release(memory);
    });
  }
  Buffer allocate_pinned(size_t bytes) override { return allocate_host(bytes); }
  std::unique_ptr<gpu::Stream> make_stream() override {
    auto stream = std::make_unique<SimtStream>(*this);
    streams_.push_back(stream.get());
    return stream;
  }
  std::unique_ptr<gpu::Event> make_event() override { return std::make_unique<SimtEvent>(); }
  void synchronize() override {
    for (SimtStream* stream : streams_) stream->run_all();
    check_guards();
  }

  void forget(SimtStream* stream) { std::erase(streams_, stream); }
  // Also throws what went wrong while memory was freed.
  void check_guards() {
    if (late_fault_) std::rethrow_exception(std::exchange(late_fault_, nullptr));
    memory_.check_guards();
  }
  bool run_now() {
    if (options_.when == DeviceOptions::When::kBySeed) return random_.next() % 2 == 0;
    return options_.when == DeviceOptions::When::kAtOnce;
  }
  void check(const emu::Launch& launch) const;
  void run(emu::Launch launch, const std::function<void()>& body) {
    launch.must_wait = options_.must_wait;
    Schedule schedule = options_.schedule;
    schedule.seed += 0x632be59bd9b4e019u * launches_++;
    run_grid(launch, body, schedule);
  }

 private:
  // As cudaFree does before memory goes: pending work may use it. A fault waits for a later call.
  void finish_all() {
    try {
      for (SimtStream* stream : streams_) stream->run_all();
    } catch (...) {
      if (!late_fault_) late_fault_ = std::current_exception();
    }
  }

  DeviceOptions options_;
  Memory memory_;
  std::exception_ptr late_fault_;
  Random random_;
  uint64_t launches_ = 0;
  std::vector<SimtStream*> streams_;
};

void SimtDevice::check(const emu::Launch& launch) const {
  const gpu::DeviceProperties limits = properties();
  const uint64_t threads = launch.block.count();
  if (threads == 0 || threads > static_cast<uint64_t>(limits.threads_per_block) ||
      launch.block.z > 64 || launch.grid.y > 65535 || launch.grid.z > 65535)
    throw Error(ErrorKind::kInternal,
                "[simt] kernel '{}' did not start: {} threads a block, grid {} x {} x {}",
                launch.name, threads, launch.grid.x, launch.grid.y, launch.grid.z);
  if (launch.shared_bytes > limits.shared_bytes)
    throw Error(ErrorKind::kInternal,
                "[simt] kernel '{}' did not start: {} bytes of shared memory, {} at most",
                launch.name, launch.shared_bytes, limits.shared_bytes);
  note_shared_use(launch.name, launch.shared_bytes);
}

SimtStream::~SimtStream() {
  device_.forget(this);
}

void SimtStream::enqueue(Work work) {
  if (capturing_) {
    captured_.push_back(std::move(work));
    return;
  }
  queue_.push_back(std::move(work));
  ++enqueued_;
  if (device_.run_now()) run_all();
}

void SimtStream::synchronize() {
  MICA_CHECK_MSG(!capturing_, "synchronize within a capture");
  run_all();
  device_.check_guards();
}

void SimtEvent::synchronize() {
  if (stream) stream->run_until(position);
}

bool SimtEvent::done() const {
  return !stream || stream->done() >= position;
}

}  // namespace

std::unique_ptr<gpu::Device> make_device(const DeviceOptions& options) {
  return std::make_unique<SimtDevice>(options);
}

void emu::enqueue(gpu::Stream& stream, const Launch& launch, std::function<void()> body) {
  auto* own = dynamic_cast<SimtStream*>(&stream);
  MICA_CHECK_MSG(own != nullptr, "an emulated kernel launched into another device's stream");
  own->device().check(launch);
  own->enqueue(
      [device = &own->device(), launch, body = std::move(body)] { device->run(launch, body); });
}

}  // namespace mica::simt

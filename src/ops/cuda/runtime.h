// The runtime that the CUDA engine is written against: device, memory, stream, event and graph. The
// emulator fills it on a host (ops/simt/device.h); semantics are those of the CUDA runtime.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tensor/tensor.h"

namespace mica::gpu {

struct DeviceProperties {
  std::string name;
  int compute_capability = 0;    // 90 for 9.0
  int multiprocessors = 1;       // by which kernels split their work
  int threads_per_block = 1024;  // at most
  size_t shared_bytes = 0;       // dynamic shared memory of a block, at most
  size_t memory_total = 0;       // bytes
  size_t memory_free = 0;        // bytes, now
  std::string versions;          // of driver and runtime, for people
};

// A point in a stream.
class Event {
 public:
  virtual ~Event() = default;
  virtual void synchronize() = 0;  // until all work before the last record is done
  virtual bool done() const = 0;   // true also before the first record
};

// Recorded work of one stream, which replays with the pointers and values of its recording.
class Graph {
 public:
  virtual ~Graph() = default;
  virtual size_t nodes() const = 0;
};

// Work in order; synchronize before the stream, or memory that its work uses, goes. Everything
// returns before it is done unless it says otherwise, and an error in a kernel is thrown by a later
// call.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual void copy(void* to, const void* from, size_t bytes) = 0;  // host or device on each side
  virtual void fill(void* to, uint8_t byte, size_t bytes) = 0;
  virtual void call(std::function<void()> function) = 0;  // on the host, in order
  virtual void record(Event& event) = 0;
  virtual void wait(const Event& event) = 0;  // later work of this stream waits for the event
  virtual void synchronize() = 0;

  // Between the two, work is recorded instead of done.
  virtual void begin_capture() = 0;
  virtual std::unique_ptr<Graph> end_capture() = 0;
  virtual void replay(const Graph& graph) = 0;  // the graph may go once this returned

  virtual void* native() = 0;  // cudaStream_t on a GPU, null on the emulator
};

class Device {
 public:
  virtual ~Device() = default;
  virtual DeviceProperties properties() const = 0;
  // Throws Error(kOutOfMemory) with wanted and free bytes. The buffer must not outlive the device.
  virtual Buffer allocate(size_t bytes) = 0;
  // Host memory that copies reach without the driver's staging (pinned).
  virtual Buffer allocate_pinned(size_t bytes) = 0;
  virtual std::unique_ptr<Stream> make_stream() = 0;  // must not outlive the device
  virtual std::unique_ptr<Event> make_event() = 0;
  virtual void synchronize() = 0;  // all streams
};

}  // namespace mica::gpu

// gpu::Stream, Event and Graph on the CUDA runtime.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "ops/cuda/native/device.h"
#include "ops/cuda/native/handle.h"

namespace mica::cuda {

class CudaEvent final : public gpu::Event {
 public:
  CudaEvent();
  void synchronize() override;
  bool done() const override;
  cudaEvent_t get() const { return event_.get(); }

 private:
  EventHandle event_;
};

// The first exception of a function called in a stream, on its way to who waits for the stream.
class Failure {
 public:
  void set(std::exception_ptr exception);
  void rethrow();

 private:
  std::mutex mutex_;
  std::exception_ptr exception_;
};

struct HostCall {
  std::function<void()> function;
  std::shared_ptr<Failure> failure;
  void run() noexcept;
};

class CudaGraph final : public gpu::Graph {
 public:
  // The graph and what runs of it keep the calls.
  CudaGraph(GraphHandle graph, std::vector<std::unique_ptr<HostCall>> calls);
  size_t nodes() const override { return nodes_; }
  cudaGraphExec_t get() const { return executable_.get(); }

 private:
  GraphExecHandle executable_;
  size_t nodes_ = 0;
};

class CudaStream final : public gpu::Stream {
 public:
  explicit CudaStream(CudaDevice& device);
  void copy(void* to, const void* from, size_t bytes) override;
  void fill(void* to, uint8_t byte, size_t bytes) override;
  void call(std::function<void()> function) override;
  void record(gpu::Event& event) override;
  void wait(const gpu::Event& event) override;
  void synchronize() override;
  void begin_capture() override;
  std::unique_ptr<gpu::Graph> end_capture() override;
  void replay(const gpu::Graph& graph) override;
  // Also makes the stream's device that of the thread.
  void* native() override;
  CudaDevice& device() { return device_; }

 private:
  CudaDevice& device_;
  StreamHandle stream_;
  bool capturing_ = false;
  std::vector<std::unique_ptr<HostCall>> captured_;
  std::shared_ptr<Failure> failure_ = std::make_shared<Failure>();
};

}  // namespace mica::cuda

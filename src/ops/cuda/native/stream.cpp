#include "ops/cuda/native/stream.h"

#include "base/error.h"

namespace mica::cuda {
namespace {

void CUDART_CB run_and_delete(void* call) {
  const std::unique_ptr<HostCall> owner(static_cast<HostCall*>(call));
  owner->run();
}

void CUDART_CB run_captured(void* call) {
  static_cast<HostCall*>(call)->run();
}

void CUDART_CB delete_call(void* call) {
  delete static_cast<HostCall*>(call);
}

}  // namespace

CudaEvent::CudaEvent() {
  check(cudaEventCreateWithFlags(event_.put(), cudaEventDisableTiming), "cudaEventCreateWithFlags");
}

void CudaEvent::synchronize() {
  check(cudaEventSynchronize(event_.get()), "cudaEventSynchronize");
}

bool CudaEvent::done() const {
  const cudaError_t status = cudaEventQuery(event_.get());
  if (status == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  check(status, "cudaEventQuery");
  return true;
}

void Failure::set(std::exception_ptr exception) {
  std::lock_guard lock(mutex_);
  if (!exception_) exception_ = std::move(exception);
}

void Failure::rethrow() {
  std::exception_ptr exception;
  {
    std::lock_guard lock(mutex_);
    exception = std::exchange(exception_, nullptr);
  }
  if (exception) std::rethrow_exception(exception);
}

void HostCall::run() noexcept {
  try {
    function();
  } catch (...) {
    failure->set(std::current_exception());
  }
}

CudaGraph::CudaGraph(GraphHandle graph, std::vector<std::unique_ptr<HostCall>> calls) {
  for (std::unique_ptr<HostCall>& call : calls) {
    cudaUserObject_t owner = nullptr;
    check(cudaUserObjectCreate(&owner, call.get(), delete_call, 1, cudaUserObjectNoDestructorSync),
          "cudaUserObjectCreate");
    call.release();
    check(cudaGraphRetainUserObject(graph.get(), owner, 1, cudaGraphUserObjectMove),
          "cudaGraphRetainUserObject");
  }
  check(cudaGraphGetNodes(graph.get(), nullptr, &nodes_), "cudaGraphGetNodes");
  check(cudaGraphInstantiate(executable_.put(), graph.get(), 0), "cudaGraphInstantiate");
}

CudaStream::CudaStream(CudaDevice& device) : device_(device) {
  device_.use();
  check(cudaStreamCreateWithFlags(stream_.put(), cudaStreamNonBlocking),
        "cudaStreamCreateWithFlags");
}

void CudaStream::copy(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  device_.use();
  const cudaError_t status = cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_.get());
  if (status != cudaSuccess)
    throw_status(status, fmt::format("cudaMemcpyAsync of {} bytes", bytes));
}

void CudaStream::fill(void* to, uint8_t byte, size_t bytes) {
  if (bytes == 0) return;
  device_.use();
  const cudaError_t status = cudaMemsetAsync(to, byte, bytes, stream_.get());
  if (status != cudaSuccess)
    throw_status(status, fmt::format("cudaMemsetAsync of {} bytes", bytes));
}

void CudaStream::call(std::function<void()> function) {
  device_.use();
  auto call = std::make_unique<HostCall>(HostCall{std::move(function), failure_});
  check(cudaLaunchHostFunc(stream_.get(), capturing_ ? run_captured : run_and_delete, call.get()),
        "cudaLaunchHostFunc");
  if (capturing_)
    captured_.push_back(std::move(call));
  else
    call.release();
}

void CudaStream::record(gpu::Event& event) {
  MICA_CHECK_MSG(!capturing_, "an event recorded within a capture");
  device_.use();
  check(cudaEventRecord(dynamic_cast<CudaEvent&>(event).get(), stream_.get()), "cudaEventRecord");
}

void CudaStream::wait(const gpu::Event& event) {
  device_.use();
  check(cudaStreamWaitEvent(stream_.get(), dynamic_cast<const CudaEvent&>(event).get(), 0),
        "cudaStreamWaitEvent");
}

void CudaStream::synchronize() {
  MICA_CHECK_MSG(!capturing_, "synchronize within a capture");
  device_.use();
  check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
  failure_->rethrow();
}

void CudaStream::begin_capture() {
  MICA_CHECK(!capturing_);
  device_.use();
  check(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
  capturing_ = true;
}

std::unique_ptr<gpu::Graph> CudaStream::end_capture() {
  MICA_CHECK(capturing_);
  capturing_ = false;
  device_.use();
  auto calls = std::exchange(captured_, {});
  GraphHandle graph;
  check(cudaStreamEndCapture(stream_.get(), graph.put()), "cudaStreamEndCapture");
  return std::make_unique<CudaGraph>(std::move(graph), std::move(calls));
}

void CudaStream::replay(const gpu::Graph& graph) {
  device_.use();
  check(cudaGraphLaunch(dynamic_cast<const CudaGraph&>(graph).get(), stream_.get()),
        "cudaGraphLaunch");
}

void* CudaStream::native() {
  device_.use();
  return stream_.get();
}

CudaDevice& device_of(gpu::Stream& stream) {
  auto* own = dynamic_cast<CudaStream*>(&stream);
  MICA_CHECK_MSG(own != nullptr, "a kernel launched into another device's stream");
  return own->device();
}

}  // namespace mica::cuda

#include "ops/cuda/native/status.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace mica::cuda {
namespace {

// Of which the CUDA documentation says that the process must be terminated and relaunched, and
// ECC and NVLink errors, after which the context is as lost.
constexpr std::array kSticky = {
    cudaErrorECCUncorrectable,    cudaErrorNvlinkUncorrectable, cudaErrorContained,
    cudaErrorIllegalAddress,      cudaErrorLaunchTimeout,       cudaErrorAssert,
    cudaErrorHardwareStackError,  cudaErrorIllegalInstruction,  cudaErrorMisalignedAddress,
    cudaErrorInvalidAddressSpace, cudaErrorInvalidPc,           cudaErrorLaunchFailure,
    cudaErrorTensorMemoryLeak,    cudaErrorMpsClientTerminated, cudaErrorExternalDevice,
};

// The GPU, its driver, or who else uses it.
constexpr std::array kDevice = {
    cudaErrorInitializationError,
    cudaErrorStubLibrary,
    cudaErrorInsufficientDriver,
    cudaErrorCallRequiresNewerDriver,
    cudaErrorDevicesUnavailable,
    cudaErrorNoDevice,
    cudaErrorInvalidDevice,
    cudaErrorDeviceNotLicensed,
    cudaErrorNoKernelImageForDevice,
    cudaErrorInvalidKernelImage,
    cudaErrorECCUncorrectable,
    cudaErrorNvlinkUncorrectable,
    cudaErrorJitCompilerNotFound,
    cudaErrorUnsupportedPtxVersion,
    cudaErrorJitCompilationDisabled,
    cudaErrorContained,
    cudaErrorLaunchTimeout,
    cudaErrorSystemNotReady,
    cudaErrorSystemDriverMismatch,
    cudaErrorCompatNotSupportedOnDevice,
    cudaErrorMpsConnectionFailed,
    cudaErrorMpsRpcFailure,
    cudaErrorMpsServerNotReady,
    cudaErrorMpsMaxClientsReached,
    cudaErrorMpsMaxConnectionsReached,
    cudaErrorMpsClientTerminated,
    cudaErrorOperatingSystem,
};

template <typename List>
bool contains(const List& list, cudaError_t status) {
  return std::find(list.begin(), list.end(), status) != list.end();
}

std::string free_memory() {
  size_t available = 0, total = 0;
  if (cudaMemGetInfo(&available, &total) != cudaSuccess) return {};
  return fmt::format("; {} of {} bytes are free on the GPU", available, total);
}

// The call that finds the error is seldom the one that caused it.
constexpr const char* kLostContext =
    "; the GPU's context is lost, restart Mica. Earlier work in the stream is the cause: "
    "CUDA_LAUNCH_BLOCKING=1 shows which call";

}  // namespace

std::string describe(cudaError_t status) {
  return fmt::format("{} ({}): {}", cudaGetErrorName(status), static_cast<int>(status),
                     cudaGetErrorString(status));
}

bool is_sticky(cudaError_t status) {
  return contains(kSticky, status);
}

ErrorKind kind_of(cudaError_t status) {
  if (status == cudaErrorMemoryAllocation) return ErrorKind::kOutOfMemory;
  return contains(kDevice, status) ? ErrorKind::kDevice : ErrorKind::kInternal;
}

void throw_status(cudaError_t status, const std::string& what, const std::source_location& place) {
  cudaGetLastError();  // else the runtime reports it once more
  const std::string_view path = place.file_name();
  std::string message = fmt::format("[cuda] {}: {} (at {}:{})", what, describe(status),
                                    path.substr(path.rfind('/') + 1), place.line());
  if (status == cudaErrorMemoryAllocation) message += free_memory();
  if (is_sticky(status)) message += kLostContext;
  throw Error(kind_of(status), message);
}

}  // namespace mica::cuda

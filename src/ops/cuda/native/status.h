// CUDA's status codes as Mica's errors.
#pragma once

#include <cuda_runtime_api.h>

#include <source_location>
#include <string>

#include "base/error.h"

namespace mica::cuda {

// "cudaErrorInvalidValue (1): invalid argument".
std::string describe(cudaError_t status);

// The GPU's context is lost, every further call fails: only a new process can use the GPU.
bool is_sticky(cudaError_t status);

// kOutOfMemory for want of memory, kDevice where the GPU, its driver or its use by others is the
// cause, else kInternal.
ErrorKind kind_of(cudaError_t status);

// `what` was done, such as "cudaMemcpyAsync of 64 bytes".
[[noreturn]] void throw_status(cudaError_t status, const std::string& what,
                               const std::source_location& place = std::source_location::current());

inline void check(cudaError_t status, const char* what,
                  const std::source_location& place = std::source_location::current()) {
  if (status != cudaSuccess) [[unlikely]]
    throw_status(status, what, place);
}

}  // namespace mica::cuda

// The `cuda` backend: in ops/cuda/native where the build has CUDA, else no_cuda.cpp, which throws.
#pragma once

#include <memory>

#include "ops/backend.h"

namespace mica::cuda {

// Whether this program has the CUDA backend.
bool is_built();

// options.device is "cuda" (the first GPU) or "cuda:N".
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

}  // namespace mica::cuda

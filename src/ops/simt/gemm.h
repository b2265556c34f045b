#pragma once

#include <memory>

#include "ops/cuda/gemm.h"

namespace mica::simt {

// The twin of the vendor's product: plain loops in the stream, f32 sums in the order of k.
std::unique_ptr<gpu::Gemm> make_gemm();

}  // namespace mica::simt

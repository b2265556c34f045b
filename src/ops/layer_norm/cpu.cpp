#include <cmath>

#include "ops/cpu/cpu_ops.h"
#include "ops/cpu/pick.h"
#include "ops/layer_norm/layer_norm.h"

namespace mica::cpu {

void layer_norm(Backend& backend, const LayerNormParams& p) {
  const int64_t rows = p.x.shape[0], size = p.x.shape[1];
  MICA_CHECK(p.x.dtype == DType::kF32 && p.out.dtype == DType::kF32);
  MICA_CHECK(p.out.shape == p.x.shape && p.weight.elements() == size);
  MICA_CHECK(p.bias.empty() || p.bias.elements() == size);
  const kernels::RowKernel& kernel = row_kernel(backend);
  const auto count = static_cast<float>(size);
  // About 16k elements are worth waking a thread for.
  const int64_t grain = 1 + 16384 / (size + 1);
  cpu_threads(backend).parallel_for(rows, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const float* x = p.x.as<float>() + r * size;
      const float mean = kernel.total(x, size) / count;
      const float variance = kernel.squares_around(x, mean, size) / count;
      kernel.scale_around(x, mean, 1 / std::sqrt(variance + p.eps), p.weight.as<float>(),
                          p.bias.empty() ? nullptr : p.bias.as<float>(), size,
                          p.out.as<float>() + r * size);
    }
  });
}

}  // namespace mica::cpu

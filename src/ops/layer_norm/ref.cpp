#include <cmath>

#include "ops/layer_norm/layer_norm.h"
#include "ops/ref/ref_ops.h"

namespace mica::ref {

void layer_norm(Backend&, const LayerNormParams& p) {
  const int64_t rows = p.x.shape[0], size = p.x.shape[1];
  MICA_CHECK(p.x.dtype == DType::kF32 && p.out.dtype == DType::kF32);
  MICA_CHECK(p.out.shape == p.x.shape && p.weight.elements() == size);
  MICA_CHECK(p.bias.empty() || p.bias.elements() == size);
  for (int64_t r = 0; r < rows; ++r) {
    const float* x = p.x.as<float>() + r * size;
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < size; ++i) mean += x[i];
    mean /= static_cast<double>(size);
    for (int64_t i = 0; i < size; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(size) + p.eps);
    for (int64_t i = 0; i < size; ++i) {
      const double shift = p.bias.empty() ? 0 : p.bias.as<float>()[i];
      p.out.as<float>()[r * size + i] =
          static_cast<float>((x[i] - mean) * scale * p.weight.as<float>()[i] + shift);
    }
  }
}

}  // namespace mica::ref

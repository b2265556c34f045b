#include <cmath>

#include "ops/ref/ref_ops.h"
#include "ops/rms_norm/rms_norm.h"

namespace mica::ref {

void rms_norm(Backend&, const RmsNormParams& p) {
  const int64_t rows = p.x.shape[0], size = p.x.shape[1];
  MICA_CHECK(p.x.dtype == DType::kF32 && p.out.dtype == DType::kF32);
  MICA_CHECK(p.out.shape == p.x.shape && p.weight.elements() == size);
  MICA_CHECK(p.residual.empty() || p.residual.shape == p.x.shape);
  for (int64_t r = 0; r < rows; ++r) {
    const float* x = p.x.as<float>() + r * size;
    if (!p.residual.empty()) {
      float* residual = p.residual.as<float>() + r * size;
      for (int64_t i = 0; i < size; ++i) residual[i] += x[i];
      x = residual;
    }
    double squares = 0;
    for (int64_t i = 0; i < size; ++i) squares += static_cast<double>(x[i]) * x[i];
    const double scale = 1 / std::sqrt(squares / static_cast<double>(size) + p.eps);
    for (int64_t i = 0; i < size; ++i)
      p.out.as<float>()[r * size + i] = static_cast<float>(x[i] * scale * p.weight.as<float>()[i]);
  }
}

}  // namespace mica::ref

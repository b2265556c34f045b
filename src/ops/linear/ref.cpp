#include "ops/linear/linear.h"
#include "ops/ref/ref_backend.h"
#include "ops/ref/ref_ops.h"

namespace mica::ref {
namespace {

double dot(const float* x, const float* w, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(x[i]) * w[i];
  return sum;
}

void store(float* y, double value, bool add) {
  *y = static_cast<float>(add ? *y + value : value);
}

}  // namespace

void linear(Backend&, const LinearParams& p) {
  MICA_CHECK(p.x.dtype == DType::kF32 && p.x.shape.rank() == 2);
  const int64_t tokens = p.x.shape[0], columns = p.x.shape[1];
  std::vector<float> scratch;
  for (const LinearTarget& target : p.targets) {
    const RefLinear& weights = as_ref(target.weights);
    MICA_CHECK(weights.columns == columns && target.out.dtype == DType::kF32);
    MICA_CHECK(target.out.shape == Shape({tokens, weights.rows}));
    for (int64_t n = 0; n < weights.rows; ++n) {
      const float* w = weights.row(0, n, scratch);
      for (int64_t t = 0; t < tokens; ++t)
        store(target.out.as<float>() + t * weights.rows + n,
              dot(p.x.as<float>() + t * columns, w, columns) + weights.bias(0, n), target.add);
    }
  }
}

void moe_linear(Backend&, const MoeLinearParams& p) {
  MICA_CHECK(p.x.dtype == DType::kF32 && p.ids.dtype == DType::kI32);
  const int64_t chosen = p.ids.shape[1], pairs = p.ids.elements(), columns = p.x.shape[1];
  MICA_CHECK(p.x.shape[0] == p.ids.shape[0] || p.x.shape[0] == pairs);
  const bool row_per_pair = p.x.shape[0] == pairs;
  std::vector<float> scratch;
  for (const LinearTarget& target : p.targets) {
    const RefLinear& weights = as_ref(target.weights);
    MICA_CHECK(weights.columns == columns && target.out.dtype == DType::kF32);
    MICA_CHECK(target.out.shape == Shape({pairs, weights.rows}));
    for (int64_t pair = 0; pair < pairs; ++pair) {
      const int32_t expert = p.ids.as<int32_t>()[pair];
      const float* x = p.x.as<float>() + (row_per_pair ? pair : pair / chosen) * columns;
      for (int64_t n = 0; n < weights.rows; ++n)
        store(target.out.as<float>() + pair * weights.rows + n,
              dot(x, weights.row(expert, n, scratch), columns) + weights.bias(expert, n),
              target.add);
    }
  }
}

}  // namespace mica::ref

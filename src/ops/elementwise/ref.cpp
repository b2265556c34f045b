// add, gather_rows and softcap.
#include <cmath>
#include <cstring>

#include "ops/ref/ref_ops.h"

namespace mica::ref {

void add(Backend&, const Tensor& x, const Tensor& y) {
  MICA_CHECK(x.dtype == DType::kF32 && y.dtype == DType::kF32 && x.shape == y.shape);
  for (int64_t i = 0; i < x.elements(); ++i) x.as<float>()[i] += y.as<float>()[i];
}

void gather_rows(Backend&, const Tensor& x, const Tensor& rows, const Tensor& out) {
  const int64_t size = x.shape[1];
  MICA_CHECK(rows.dtype == DType::kI32 && x.dtype == DType::kF32 && out.dtype == DType::kF32);
  MICA_CHECK(out.shape == Shape({rows.elements(), size}));
  for (int64_t r = 0; r < rows.elements(); ++r) {
    const int32_t row = rows.as<int32_t>()[r];
    MICA_CHECK(row >= 0 && row < x.shape[0]);
    std::memcpy(out.as<float>() + r * size, x.as<float>() + row * size,
                static_cast<size_t>(size) * sizeof(float));
  }
}

void softcap(Backend&, const Tensor& x, float cap) {
  MICA_CHECK(x.dtype == DType::kF32 && cap > 0);
  for (int64_t i = 0; i < x.elements(); ++i) {
    float& value = x.as<float>()[i];
    value = static_cast<float>(cap * std::tanh(static_cast<double>(value) / cap));
  }
}

}  // namespace mica::ref

// add, gather_rows and softcap.
#include <cstring>

#include "ops/cpu/cpu_ops.h"
#include "ops/cpu/pick.h"

namespace mica::cpu {
namespace {

constexpr int64_t kGrain = 32768;  // elements worth waking a thread for

}  // namespace

void add(Backend& backend, const Tensor& x, const Tensor& y) {
  MICA_CHECK(x.dtype == DType::kF32 && y.dtype == DType::kF32 && x.shape == y.shape);
  const kernels::RowKernel& kernel = row_kernel(backend);
  cpu_threads(backend).parallel_for(x.elements(), kGrain, [&](int64_t begin, int64_t end, int) {
    kernel.add(x.as<float>() + begin, y.as<float>() + begin, end - begin);
  });
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

void softcap(Backend& backend, const Tensor& x, float cap) {
  MICA_CHECK(x.dtype == DType::kF32 && cap > 0);
  const kernels::RowKernel& kernel = row_kernel(backend);
  cpu_threads(backend).parallel_for(x.elements(), kGrain, [&](int64_t begin, int64_t end, int) {
    kernel.softcap(x.as<float>() + begin, end - begin, cap);
  });
}

}  // namespace mica::cpu

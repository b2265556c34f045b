#include "ops/simt/gemm.h"

#include <vector>

namespace mica::simt {
namespace {

std::vector<float> row_of(const void* matrix, DType dtype, int64_t row, int64_t size) {
  std::vector<float> values(static_cast<size_t>(size));
  const auto offset = static_cast<size_t>(row * size) * size_of(dtype);
  to_f32(static_cast<const std::byte*>(matrix) + offset, dtype, size, values.data());
  return values;
}

float dot(const std::vector<float>& x, const std::vector<float>& y) {
  float sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

void multiply(const gpu::GemmParams& p) {
  std::vector<std::vector<float>> a;
  for (int64_t row = 0; row < p.m; ++row) a.push_back(row_of(p.a, p.in, row, p.k));
  const int64_t stride = p.c_stride > 0 ? p.c_stride : p.n;
  for (int64_t column = 0; column < p.n; ++column) {
    const std::vector<float> b = row_of(p.b, p.in, column, p.k);
    for (int64_t row = 0; row < p.m; ++row) {
      auto* c = static_cast<std::byte*>(p.c) +
                static_cast<size_t>(row * stride + column) * size_of(p.out);
      float sum = dot(a[static_cast<size_t>(row)], b);
      if (p.add) {
        float before = 0;
        to_f32(c, p.out, 1, &before);
        sum += before;
      }
      from_f32(&sum, 1, p.out, c);
    }
  }
}

class HostGemm final : public gpu::Gemm {
 public:
  bool available() const override { return true; }
  void run(gpu::Stream& stream, const gpu::GemmParams& p) override {
    MICA_CHECK(p.out == p.in || p.out == DType::kF32);
    stream.call([p] { multiply(p); });
  }
};

}  // namespace

std::unique_ptr<gpu::Gemm> make_gemm() {
  return std::make_unique<HostGemm>();
}

}  // namespace mica::simt

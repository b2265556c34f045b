// The AVX-512 primitives and kernels on SIMDe's emulation (simd_check_emulated.cpp).
#include <gtest/gtest.h>

#include <cmath>

#include "ops/cpu/isa.h"
#include "ops/linear/cpu_prepared.h"
#include "ops/linear/test_weights.h"

namespace mica {

const char* check_avx512_emulated();
extern const LinearKernels kLinearEmulated;

namespace {

TEST(SimdEmulated, Avx512EqualsPortable) {
  if (best_isa() < Isa::kAvx2) GTEST_SKIP() << "the emulation is compiled for AVX2";
  EXPECT_EQ(check_avx512_emulated(), nullptr) << check_avx512_emulated();
}

// One token block (of `tokens` <= 12) times a matrix.
std::vector<float> product(const LinearKernels& kernels, const CpuLinear& w,
                           const std::vector<float>& x, int tokens) {
  const BlockLayout& layout = w.layout;
  std::vector<const float*> rows;
  for (int t = 0; t < tokens; ++t) rows.push_back(x.data() + t * w.columns);
  const int64_t groups = layout.group == 0 ? 0 : layout.columns / layout.group;
  std::vector<float> values(static_cast<size_t>(layout.columns * tokens));
  std::vector<int32_t> pairs(values.size());
  std::vector<float> scales(static_cast<size_t>(groups * tokens)), sums(scales.size());
  if (layout.integer)
    kernels.pack_integer(rows.data(), tokens, w.columns, layout.group, pairs.data(), scales.data(),
                         sums.data());
  else
    kernels.pack_float(rows.data(), tokens, w.columns, layout.columns, values.data());
  const TokenBlock block{tokens, values.data(), pairs.data(), scales.data(), sums.data()};
  std::vector<float> out(static_cast<size_t>(tokens * w.rows)), work(kWorkFloats);
  kernels.product({.layout = &layout,
                   .weights = w.block(0, 0),
                   .blocks = w.blocks,
                   .rows = w.rows,
                   .tokens = &block,
                   .token_blocks = 1,
                   .token_count = tokens,
                   .out = out.data(),
                   .out_stride = w.rows,
                   .work = work.data()});
  return out;
}

// Against the portable kernels token by token, and bit by bit against themselves with one token.
TEST(SimdEmulated, ProductsEqualPortable) {
  if (best_isa() < Isa::kAvx2) GTEST_SKIP() << "the emulation is compiled for AVX2";
  ThreadPool threads(1);
  for (const WeightFormat& format : all_formats()) {
    if (format.scheme.mode == QuantMode::kAffine && format.scheme.group == 32) continue;
    TestWeights w(format, 1, 19, 640, false);
    const auto prepared = prepare_cpu(w.view, threads);
    const auto& linear = static_cast<const CpuLinear&>(*prepared);
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    std::vector<float> x(12 * 640);
    for (float& v : x) v = normal(random);
    std::vector<float> expected, alone;
    for (int t = 0; t < 12; ++t) {
      const std::vector<float> row(x.begin() + t * 640, x.begin() + (t + 1) * 640);
      const auto y = product(kLinearPortable, linear, row, 1);
      expected.insert(expected.end(), y.begin(), y.end());
      const auto z = product(kLinearEmulated, linear, row, 1);
      alone.insert(alone.end(), z.begin(), z.end());
    }
    double size = 0;
    for (float v : expected) size = std::max(size, std::abs(static_cast<double>(v)));
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(alone[i], expected[i], 1e-5 * size) << to_string(format);
    for (int tokens : {2, 5, 8, 9, 12}) {
      const auto y = product(kLinearEmulated, linear, x, tokens);
      for (size_t i = 0; i < y.size(); ++i)
        ASSERT_EQ(y[i], alone[i]) << to_string(format) << " T=" << tokens;
    }
  }
}

}  // namespace
}  // namespace mica

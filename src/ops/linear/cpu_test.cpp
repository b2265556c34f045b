// The CPU's linear, moe_linear and embed against double loops over dequantize_row.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/cpu_ops.h"
#include "ops/embed/embed.h"
#include "ops/linear/linear.h"
#include "ops/linear/test_weights.h"

namespace mica {
namespace {

const Ops& linear_ops() {
  static const Ops table = {
      .embed = cpu::embed, .linear = cpu::linear, .moe_linear = cpu::moe_linear};
  return table;
}

std::vector<std::string> isas() {
  std::vector<std::string> names;
  for (Isa isa : kAllIsas)
    if (isa <= best_isa()) names.emplace_back(name(isa));
  return names;
}

std::unique_ptr<Backend> backend_of(const std::string& isa, int threads) {
  return make_cpu_backend({.threads = threads, .isa = isa}, linear_ops());
}

std::vector<float> random_rows(int64_t rows, int64_t columns, uint32_t seed = 7) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(rows * columns));
  for (float& v : x) v = normal(random);
  return x;
}

Tensor tensor_of(std::vector<float>& values, int64_t rows, int64_t columns) {
  return {values.data(), DType::kF32, {rows, columns}};
}

// W of an expert, f64 [N][K].
std::vector<double> dense(const LinearWeights& w, int64_t expert) {
  std::vector<double> out;
  std::vector<float> row(static_cast<size_t>(w.columns));
  for (int64_t n = 0; n < w.rows; ++n) {
    dequantize_row(w, expert, n, row.data());
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

double dot(const std::vector<double>& w, int64_t n, const float* x, int64_t columns) {
  double sum = 0;
  for (int64_t k = 0; k < columns; ++k)
    sum += w[static_cast<size_t>(n * columns + k)] * static_cast<double>(x[k]);
  return sum;
}

double bias_at(const LinearWeights& w, int64_t index) {
  if (w.bias.empty()) return 0;
  return static_cast<double>(bf16_to_f32(w.bias.as<uint16_t>()[index]));
}

std::vector<float> multiply(Backend& backend, const PreparedLinear& w, std::vector<float>& x,
                            int64_t rows) {
  std::vector<float> y(static_cast<size_t>(rows * w.rows), -77.0f);
  const LinearTarget target{&w, tensor_of(y, rows, w.rows), false};
  backend.ops().linear(backend, {tensor_of(x, rows, w.columns), {&target, 1}});
  return y;
}

// || y - expected || over || w_k * x_k ||, the size of a random sum of the same products (y itself
// may be near zero by chance).
double relative_error(const LinearWeights& w, const std::vector<float>& x,
                      const std::vector<float>& y, int64_t rows) {
  const auto matrix = dense(w, 0);
  double error = 0, norm = 0;
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t n = 0; n < w.rows; ++n) {
      const double expected = dot(matrix, n, x.data() + t * w.columns, w.columns) + bias_at(w, n);
      const double d = static_cast<double>(y[static_cast<size_t>(t * w.rows + n)]) - expected;
      error += d * d;
      for (int64_t k = 0; k < w.columns; ++k) {
        const double product = matrix[static_cast<size_t>(n * w.columns + k)] *
                               static_cast<double>(x[static_cast<size_t>(t * w.columns + k)]);
        norm += product * product;
      }
    }
  }
  return std::sqrt(error / norm);
}

// 16-bit activations are within 5e-5; f32 kernels add f32 products one by one; the bf16 dot rounds
// activations to 8 bits of mantissa (at most 2^-8 off, 1.7e-3 in the mean).
double tolerance(const WeightFormat& f, Isa isa) {
  const bool integer = f.scheme.mode == QuantMode::kMxfp4 || f.scheme.mode == QuantMode::kNvfp4 ||
                       (f.scheme.mode == QuantMode::kAffine && f.dtype != DType::kF32);
  const bool dense_bf16 = f.scheme.mode == QuantMode::kNone && f.dtype == DType::kBF16;
  if (dense_bf16 && isa == Isa::kAvx512Bf16) return 3e-3;
  return integer ? 5e-5 : 2e-6;
}

// K that a format allows, of those given.
bool allows(const WeightFormat& f, int64_t columns) {
  return f.scheme.group == 0 || columns % f.scheme.group == 0;
}

TEST(CpuLinear, EveryFormatEveryIsaOddSizes) {
  const int64_t shapes[][2] = {{1, 64},   {15, 96},   {16, 128}, {17, 192}, {100, 256}, {33, 640},
                               {5, 1152}, {20, 2176}, {3, 1},    {18, 37},  {16, 514},  {2, 48}};
  for (const auto& isa : isas()) {
    auto backend = backend_of(isa, 2);
    for (const WeightFormat& format : all_formats()) {
      for (const auto& [n, k] : shapes) {
        if (!allows(format, k)) continue;
        TestWeights w(format, 1, n, k, n % 2 == 1);
        const auto prepared = backend->prepare(w.view);
        for (int64_t rows : {1, 2, 4, 5, 8, 13}) {
          auto x = random_rows(rows, k);
          const auto y = multiply(*backend, *prepared, x, rows);
          const double chance = rows * n < 20 ? 3 : 1;  // few samples of a random error
          EXPECT_LT(relative_error(w.view, x, y, rows),
                    chance * tolerance(format, cpu_isa(*backend)))
              << isa << " " << to_string(format) << " N=" << n << " K=" << k << " T=" << rows;
        }
      }
    }
  }
}

// What docs and reports quote: the error for a real row length.
TEST(CpuLinear, ErrorOfARealRowLength) {
  auto backend = backend_of("", 2);
  for (const WeightFormat& format : all_formats()) {
    TestWeights w(format, 1, 64, 2048, false);
    auto x = random_rows(3, 2048);
    const auto prepared = backend->prepare(w.view);
    const double error = relative_error(w.view, x, multiply(*backend, *prepared, x, 3), 3);
    EXPECT_LT(error, tolerance(format, cpu_isa(*backend))) << to_string(format);
    RecordProperty(to_string(format), fmt::format("{:.1e}", error));
    const double ratio =
        static_cast<double>(prepared->bytes) / static_cast<double>(w.view.weight_bytes());
    EXPECT_LE(ratio, 1.01) << to_string(format);
  }
}

TEST(CpuLinear, RowBitsDependOnNothingElse) {
  for (const auto& isa : isas()) {
    for (const WeightFormat& format : all_formats()) {
      if (format.scheme.mode == QuantMode::kAffine && format.scheme.group == 64 &&
          format.dtype == DType::kF16)
        continue;  // the same kernels as bf16
      constexpr int64_t kColumns = 1280, kRows = 35, kTokens = 513;
      TestWeights w(format, 1, kRows, kColumns, true);
      auto x = random_rows(kTokens, kColumns);
      std::vector<float> expected;
      for (int threads : {1, 2, 3, 4}) {
        auto backend = backend_of(isa, threads);
        const auto prepared = backend->prepare(w.view);
        if (expected.empty()) {
          for (int64_t t = 0; t < kTokens; ++t) {
            if (t >= 20 && t % 37 != 0 && t != kTokens - 1) {
              expected.resize(expected.size() + kRows);
              continue;
            }
            std::vector<float> row(x.begin() + t * kColumns, x.begin() + (t + 1) * kColumns);
            const auto y = multiply(*backend, *prepared, row, 1);
            expected.insert(expected.end(), y.begin(), y.end());
          }
        }
        for (int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 64, 513}) {
          if (threads > 2 && rows != 7 && rows != 513) continue;
          const auto y = multiply(*backend, *prepared, x, rows);
          for (int64_t t = 0; t < rows; ++t) {
            if (t >= 20 && t % 37 != 0 && t != kTokens - 1) continue;
            ASSERT_EQ(std::memcmp(&y[static_cast<size_t>(t * kRows)],
                                  &expected[static_cast<size_t>(t * kRows)], kRows * 4),
                      0)
                << isa << " " << to_string(format) << " T=" << rows << " t=" << t
                << " threads=" << threads;
          }
        }
      }
    }
  }
}

TEST(CpuLinear, SeveralTargetsAndAdd) {
  for (const auto& isa : isas()) {
    auto backend = backend_of(isa, 2);
    constexpr int64_t kColumns = 256;
    const WeightFormat formats[] = {{{QuantMode::kAffine, 4, 64}, DType::kBF16},
                                    {{QuantMode::kAffine, 6, 32}, DType::kF16},
                                    {{QuantMode::kNone, 0, 0}, DType::kBF16},
                                    {{QuantMode::kAffine, 8, 64}, DType::kBF16}};
    for (int64_t rows : {1, 3, 40}) {
      auto x = random_rows(rows, kColumns);
      std::vector<std::unique_ptr<PreparedLinear>> prepared;
      std::vector<std::vector<float>> out, alone;
      std::vector<LinearTarget> targets;
      for (int i = 0; i < 4; ++i) {
        TestWeights w(formats[i], 1, 20 + 7 * i, kColumns, i == 1, static_cast<uint32_t>(i));
        prepared.push_back(backend->prepare(w.view));
        alone.push_back(multiply(*backend, *prepared.back(), x, rows));
        out.push_back(random_rows(rows, 20 + 7 * i, 3));
        if (i % 2 == 0)
          for (size_t j = 0; j < alone.back().size(); ++j) alone.back()[j] += out.back()[j];
      }
      for (size_t i = 0; i < 4; ++i)
        targets.push_back(
            {prepared[i].get(), tensor_of(out[i], rows, prepared[i]->rows), i % 2 == 0});
      backend->ops().linear(*backend, {tensor_of(x, rows, kColumns), targets});
      for (size_t i = 0; i < 4; ++i) EXPECT_EQ(out[i], alone[i]) << isa << i;
    }
  }
}

// The largest integers that a group can hold, of one sign and of both.
TEST(CpuLinear, Extremes) {
  for (const auto& isa : isas()) {
    auto backend = backend_of(isa, 1);
    for (int bits : {2, 3, 4, 5, 6, 8}) {
      const WeightFormat format{{QuantMode::kAffine, bits, 128}, DType::kBF16};
      TestWeights w(format, 1, 17, 512, false);
      std::fill(w.weight.begin(), w.weight.end(), uint8_t{0xff});
      const auto prepared = backend->prepare(w.view);
      for (float sign : {1.0f, -1.0f}) {
        for (int64_t rows : {1, 4, 9}) {
          std::vector<float> x(static_cast<size_t>(rows * 512), 3.0e4f * sign);
          auto y = multiply(*backend, *prepared, x, rows);
          EXPECT_LT(relative_error(w.view, x, y, rows), 1e-5) << isa << bits;
          for (size_t i = 0; i < x.size(); i += 2) x[i] = -x[i];
          y = multiply(*backend, *prepared, x, rows);
          EXPECT_LT(relative_error(w.view, x, y, rows), 5e-5) << isa << bits;
        }
      }
    }
  }
}

TEST(CpuLinear, ZeroTinyAndHugeActivations) {
  for (const auto& isa : isas()) {
    auto backend = backend_of(isa, 1);
    TestWeights w({{QuantMode::kAffine, 4, 64}, DType::kBF16}, 1, 16, 256, false);
    const auto prepared = backend->prepare(w.view);
    std::vector<float> zero(256, 0.0f);
    for (float y : multiply(*backend, *prepared, zero, 1)) EXPECT_EQ(y, 0.0f);
    for (float size : {1e-25f, 1e30f}) {
      auto x = random_rows(1, 256);
      for (float& v : x) v *= size;
      const auto y = multiply(*backend, *prepared, x, 1);
      EXPECT_LT(relative_error(w.view, x, y, 1), 5e-5) << isa << size;
    }
    for (float size : {1e-38f, 1e-44f}) {  // taken for zero
      std::vector<float> x(256, size);
      for (float y : multiply(*backend, *prepared, x, 1)) EXPECT_LT(std::abs(y), 1e-30f);
    }
  }
}

TEST(CpuLinear, NotFiniteActivationsStayInTheirRow) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& isa : isas()) {
    auto backend = backend_of(isa, 2);
    for (const WeightFormat& format : all_formats()) {
      constexpr int64_t kColumns = 256, kRows = 18;
      TestWeights w(format, 1, kRows, kColumns, false);
      const auto prepared = backend->prepare(w.view);
      for (int64_t rows : {3, 14}) {
        auto x = random_rows(rows, kColumns);
        const auto clean = multiply(*backend, *prepared, x, rows);
        for (float bad : {kInf, -kInf, kNan}) {
          auto with = x;
          with[kColumns + 100] = bad;
          const auto y = multiply(*backend, *prepared, with, rows);
          for (int64_t i = 0; i < rows * kRows; ++i) {
            const auto at = static_cast<size_t>(i);
            if (i / kRows == 1)
              EXPECT_FALSE(std::isfinite(y[at])) << isa << to_string(format);
            else
              EXPECT_EQ(y[at], clean[at]) << isa << to_string(format);
          }
        }
      }
    }
  }
}

TEST(CpuLinear, ExpertsThroughTheirRows) {
  for (const auto& isa : isas()) {
    for (const WeightFormat& format : {WeightFormat{{QuantMode::kAffine, 4, 32}, DType::kBF16},
                                       WeightFormat{{QuantMode::kMxfp4, 4, 32}, DType::kBF16},
                                       WeightFormat{{QuantMode::kNone, 0, 0}, DType::kBF16}}) {
      constexpr int64_t kExperts = 5, kRows = 19, kColumns = 96, kTop = 3;
      TestWeights w(format, kExperts, kRows, kColumns, true);
      auto backend = backend_of(isa, 2);
      const auto prepared = backend->prepare(w.view);
      std::vector<std::vector<double>> matrices;
      for (int64_t e = 0; e < kExperts; ++e) matrices.push_back(dense(w.view, e));
      std::vector<float> first;  // outputs of token 0, must not depend on T
      for (int64_t tokens : {1, 2, 9, 400}) {
        for (bool own_rows : {false, true}) {
          std::vector<int32_t> ids(static_cast<size_t>(tokens * kTop));
          for (size_t i = 0; i < ids.size(); ++i)
            ids[i] = static_cast<int32_t>((i * i + i / kTop) % (kExperts - 1));
          const int64_t inputs = own_rows ? tokens * kTop : tokens;
          auto x = random_rows(inputs, kColumns);
          std::vector<float> y(static_cast<size_t>(tokens * kTop * kRows), 1.0f);
          const LinearTarget target{prepared.get(), tensor_of(y, tokens * kTop, kRows), false};
          backend->ops().moe_linear(*backend, {tensor_of(x, inputs, kColumns),
                                               Tensor{ids.data(), DType::kI32, {tokens, kTop}},
                                               {&target, 1}});
          for (int64_t i = 0; i < tokens * kTop; ++i) {
            const int64_t e = ids[static_cast<size_t>(i)];
            const float* row = x.data() + (own_rows ? i : i / kTop) * kColumns;
            for (int64_t n = 0; n < kRows; ++n) {
              const double expected = dot(matrices[static_cast<size_t>(e)], n, row, kColumns) +
                                      bias_at(w.view, e * kRows + n);
              EXPECT_NEAR(y[static_cast<size_t>(i * kRows + n)], expected,
                          200 * tolerance(format, cpu_isa(*backend)) + 1e-3)
                  << isa << to_string(format) << tokens;
            }
          }
          y.resize(kRows);
          if (first.empty()) first = y;
          EXPECT_EQ(y, first) << isa << to_string(format);
        }
      }
    }
  }
}

TEST(CpuEmbed, EqualsDequantizedRows) {
  auto backend = backend_of("", 2);
  for (const WeightFormat& format : all_formats()) {
    for (int64_t columns : {128, 384, 131}) {
      if (!allows(format, columns)) continue;
      constexpr int64_t kRows = 37;
      TestWeights w(format, 1, kRows, columns, false);
      const auto prepared = backend->prepare(w.view);
      std::vector<int32_t> ids = {0, 36, 15, 16, 17, 36, 31};
      const auto count = static_cast<int64_t>(ids.size());
      for (float scale : {1.0f, 0.3f}) {
        std::vector<float> out(static_cast<size_t>(count * columns));
        backend->ops().embed(*backend, {.ids = {ids.data(), DType::kI32, {count}},
                                        .table = prepared.get(),
                                        .scale = scale,
                                        .out = tensor_of(out, count, columns)});
        std::vector<float> row(static_cast<size_t>(columns));
        for (int64_t t = 0; t < count; ++t) {
          dequantize_row(w.view, 0, ids[static_cast<size_t>(t)], row.data());
          for (int64_t k = 0; k < columns; ++k)
            ASSERT_EQ(out[static_cast<size_t>(t * columns + k)],
                      row[static_cast<size_t>(k)] * scale)
                << to_string(format) << " " << t << " " << k;
        }
      }
    }
  }
}

TEST(CpuLinear, RefusesWhatItCannotHold) {
  auto backend = backend_of("", 1);
  TestWeights good({{QuantMode::kAffine, 4, 64}, DType::kBF16}, 1, 16, 128, false);
  auto bad = good.view;
  bad.scheme.bits = 7;
  EXPECT_THROW(backend->prepare(bad), Error);
  bad = good.view;
  bad.scheme.group = 48;
  EXPECT_THROW(backend->prepare(bad), Error);
  bad = good.view;
  bad.rows = 17;
  EXPECT_THROW(backend->prepare(bad), Error);
  bad = good.view;
  bad.columns = 192;
  EXPECT_THROW(backend->prepare(bad), Error);
}

}  // namespace
}  // namespace mica

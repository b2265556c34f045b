// Products of the integer family on the emulator, through the backend's linear.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ops/linear/linear.h"
#include "ops/linear/test_weights.h"
#include "ops/simt/test_backend.h"

namespace mica {
namespace {

constexpr DType kFloats[] = {DType::kF32, DType::kBF16, DType::kF16};

std::vector<WeightFormat> integer_formats() {
  std::vector<WeightFormat> formats = all_formats();
  std::erase_if(formats, [](const WeightFormat& format) {
    return format.scheme.mode == QuantMode::kNone || format.scheme.mode == QuantMode::kMxfp8;
  });
  return formats;
}

// One of each kernel and of each branch of it.
std::vector<WeightFormat> kernel_formats() {
  std::vector<WeightFormat> formats;
  int i = 0;
  for (int bits : {2, 3, 4, 5, 6, 8}) {
    formats.push_back({{QuantMode::kAffine, bits, 32 << i % 3}, kFloats[i / 2]});
    formats.push_back({{QuantMode::kAffine, bits, 32 << (i + 1) % 3}, DType::kBF16});
    ++i;
  }
  formats.push_back({{QuantMode::kMxfp4, 4, 32}, DType::kBF16});
  formats.push_back({{QuantMode::kNvfp4, 4, 16}, DType::kBF16});
  return formats;
}

std::vector<float> multiply(TestBackend& backend, const PreparedLinear& w,
                            const std::vector<float>& x, int64_t rows, DType out_type) {
  const Tensor out = backend.put(std::vector<float>(static_cast<size_t>(rows * w.rows), -77.0f),
                                 {rows, w.rows}, out_type);
  const LinearTarget target{&w, out, false};
  const std::vector<float> used(x.begin(), x.begin() + rows * w.columns);
  backend.ops().linear(*backend, {backend.put_activations(used, {rows, w.columns}), {&target, 1}});
  return backend.get(out);
}

std::vector<float> random_rows(int64_t rows, int64_t columns, DType dtype) {
  return simt::rounded(random_values(rows * columns, 7), dtype);
}

// || y - expected || over || w_k * x_k ||, the size of a random sum of the same products.
double relative_error(const LinearWeights& w, const std::vector<float>& x,
                      const std::vector<float>& y, int64_t rows) {
  double error = 0, norm = 0;
  std::vector<float> row(static_cast<size_t>(w.columns));
  for (int64_t n = 0; n < w.rows; ++n) {
    dequantize_row(w, 0, n, row.data());
    for (int64_t t = 0; t < rows; ++t) {
      double expected = w.bias.empty() ? 0 : bf16_to_f32(w.bias.as<uint16_t>()[n]);
      for (int64_t k = 0; k < w.columns; ++k) {
        const double product = static_cast<double>(row[static_cast<size_t>(k)]) *
                               x[static_cast<size_t>(t * w.columns + k)];
        expected += product;
        norm += product * product;
      }
      const double d = y[static_cast<size_t>(t * w.rows + n)] - expected;
      error += d * d;
    }
  }
  return std::sqrt(error / norm);
}

// 16 bits of activations are within 5e-5; those of f32 go in two parts, so that the f32 sums
// remain.
double tolerance(DType activations) {
  return activations == DType::kF32 ? 2e-6 : 5e-5;
}

TEST(SimtIntegerProduct, EveryFormatOddSizes) {
  const int64_t shapes[][2] = {{1, 64}, {15, 96}, {17, 128}, {37, 192}, {5, 640}, {2, 48}};
  for (const WeightFormat& format : integer_formats()) {
    simt::SimtTestBackend backend(format.dtype);
    for (const auto& [n, k] : shapes) {
      if (k % format.scheme.group != 0) continue;
      const TestWeights w(format, 1, n, k, n % 2 == 1);
      const auto prepared = (*backend).prepare(w.view);
      for (int64_t rows : {1, 4, 5, 9, 17}) {
        const auto x = random_rows(rows, k, format.dtype);
        const auto y = multiply(backend, *prepared, x, rows, DType::kF32);
        const double chance = rows * n < 20 ? 3 : 1;  // few samples of a random error
        EXPECT_LT(relative_error(w.view, x, y, rows), chance * tolerance(format.dtype))
            << to_string(format) << " N=" << n << " K=" << k << " T=" << rows;
      }
    }
  }
}

// Any dtype of activations with any of scales; what is stored in it is the f32 result, rounded.
TEST(SimtIntegerProduct, OutputInTheDtypeOfActivations) {
  for (const WeightFormat& format : kernel_formats())
    for (DType dtype : kFloats) {
      const TestWeights w(format, 1, 21, 256, true);
      simt::SimtTestBackend backend(dtype);
      const auto prepared = (*backend).prepare(w.view);
      for (int64_t rows : {3, 18}) {
        const auto x = random_rows(rows, 256, dtype);
        const auto y = multiply(backend, *prepared, x, rows, DType::kF32);
        EXPECT_LT(relative_error(w.view, x, y, rows), tolerance(dtype)) << to_string(format);
        EXPECT_EQ(multiply(backend, *prepared, x, rows, dtype), simt::rounded(y, dtype));
      }
    }
}

// 1 to 16 rows share K out to warps, more rows walk it in order, alone or in parts.
TEST(SimtIntegerProduct, RowBitsDependOnNothingElse) {
  constexpr int64_t kRows = 147, kAll = 65;
  for (const WeightFormat& format : kernel_formats())
    for (int64_t k : {384, 1152}) {
      SCOPED_TRACE(to_string(format) + " K=" + std::to_string(k));
      simt::SimtTestBackend backend(DType::kBF16);
      const TestWeights w(format, 1, k == 384 ? kRows : 40, k, true);
      const int64_t n = w.view.rows;
      const auto prepared = (*backend).prepare(w.view);
      const auto x = random_rows(kAll, k, DType::kBF16);
      const auto all = multiply(backend, *prepared, x, kAll, DType::kF32);
      for (int64_t row : {0, 33, 64}) {
        const std::vector<float> own(x.begin() + row * k, x.begin() + (row + 1) * k);
        EXPECT_EQ(multiply(backend, *prepared, own, 1, DType::kF32),
                  std::vector<float>(all.begin() + row * n, all.begin() + (row + 1) * n));
      }
      for (int64_t rows : {2, 7, 12, 17, 32})
        EXPECT_EQ(multiply(backend, *prepared, x, rows, DType::kF32),
                  std::vector<float>(all.begin(), all.begin() + rows * n))
            << rows;
    }
}

// K in 1, 2, 4 and 8 parts by several blocks, with rings of two stages and of three.
TEST(SimtIntegerProduct, PartsOfKAndLargerRings) {
  const WeightFormat format{{QuantMode::kAffine, 5, 64}, DType::kBF16};
  for (int64_t k : {320, 576, 1088, 2112})
    for (size_t shared : {99, 163}) {
      TestBackend backend("simt", simt::make_backend({}, {.shared_bytes = shared * 1024}),
                          DType::kBF16);
      const TestWeights w(format, 1, 20, k, true);
      const auto prepared = (*backend).prepare(w.view);
      const auto x = random_rows(20, k, DType::kBF16);
      const auto y = multiply(backend, *prepared, x, 20, DType::kF32);
      EXPECT_LT(relative_error(w.view, x, y, 20), 5e-5) << k;
      EXPECT_EQ(multiply(backend, *prepared, x, 4, DType::kF32),
                std::vector<float>(y.begin(), y.begin() + 4 * 20))
          << k;
    }
}

TEST(SimtIntegerProduct, SameBitsUnderEverySchedule) {
  const WeightFormat formats[] = {{{QuantMode::kAffine, 3, 64}, DType::kF16},
                                  {{QuantMode::kNvfp4, 4, 16}, DType::kBF16}};
  for (const WeightFormat& format : formats) {
    const TestWeights w(format, 1, 35, 1088, true);
    for (int64_t rows : {3, 10, 34}) {
      const auto x = random_rows(rows, 1088, DType::kBF16);
      std::vector<float> first;
      for (simt::Schedule schedule : simt::all_schedules(3))
        for (int threads : {1, 2}) {
          schedule.os_threads = threads;
          simt::SimtTestBackend backend(DType::kBF16, schedule);
          const auto prepared = (*backend).prepare(w.view);
          const auto y = multiply(backend, *prepared, x, rows, DType::kF32);
          if (first.empty()) first = y;
          EXPECT_EQ(y, first) << to_string(format) << " T=" << rows;
        }
      EXPECT_LT(relative_error(w.view, x, first, rows), 5e-5);
    }
  }
}

// More targets of a format than a launch takes, others between them, some added to.
TEST(SimtIntegerProduct, SeveralTargetsAndAdd) {
  constexpr int64_t kColumns = 256;
  const WeightFormat formats[] = {
      {{QuantMode::kAffine, 4, 64}, DType::kBF16}, {{QuantMode::kAffine, 6, 32}, DType::kF16},
      {{QuantMode::kAffine, 4, 32}, DType::kF32},  {{QuantMode::kMxfp4, 4, 32}, DType::kBF16},
      {{QuantMode::kAffine, 4, 128}, DType::kF16}, {{QuantMode::kAffine, 4, 64}, DType::kBF16},
      {{QuantMode::kAffine, 4, 32}, DType::kBF16}};
  for (DType dtype : {DType::kF32, DType::kBF16})
    for (int64_t rows : {1, 10, 40}) {
      simt::SimtTestBackend backend(dtype, {.order = simt::Order::kRandom, .seed = 5});
      const auto x = random_rows(rows, kColumns, dtype);
      std::vector<std::unique_ptr<PreparedLinear>> prepared;
      std::vector<std::vector<float>> alone, old;
      std::vector<LinearTarget> targets;
      for (int i = 0; i < 7; ++i) {
        const int64_t n = 20 + 17 * i;
        const DType out_type = i % 3 == 0 ? DType::kF32 : dtype;
        const TestWeights w(formats[i], 1, n, kColumns, i % 2 == 1, static_cast<uint32_t>(i));
        prepared.push_back((*backend).prepare(w.view));
        alone.push_back(multiply(backend, *prepared.back(), x, rows, DType::kF32));
        old.push_back(simt::rounded(random_values(rows * n, 3), out_type));
        targets.push_back(
            {prepared.back().get(), backend.put(old.back(), {rows, n}, out_type), i % 2 == 0});
      }
      backend.ops().linear(*backend, {backend.put_activations(x, {rows, kColumns}), targets});
      for (size_t i = 0; i < 7; ++i) {
        const auto found = backend.get(targets[i].out);
        auto expected = alone[i];
        if (targets[i].add)
          for (size_t j = 0; j < expected.size(); ++j) expected[j] += old[i][j];
        if (dtype == DType::kBF16) {
          EXPECT_EQ(found, simt::rounded(expected, targets[i].out.dtype)) << i << " T=" << rows;
        } else {  // (old + y) + rest, where alone has y + rest
          for (size_t j = 0; j < expected.size(); ++j)
            ASSERT_NEAR(found[j], expected[j], 1e-5f) << i << " T=" << rows;
        }
      }
    }
}

// The largest integers that a group can hold, of one sign and of both.
TEST(SimtIntegerProduct, Extremes) {
  simt::SimtTestBackend backend(DType::kBF16);
  for (int bits : {2, 3, 4, 5, 6, 8})
    for (int group : {32, 128}) {
      TestWeights w({{QuantMode::kAffine, bits, group}, DType::kBF16}, 1, 17, 256, false);
      std::fill(w.weight.begin(), w.weight.end(), uint8_t{0xff});
      const auto prepared = (*backend).prepare(w.view);
      for (float sign : {1.0f, -1.0f})
        for (int64_t rows : {1, 9, 17}) {
          std::vector<float> x(static_cast<size_t>(rows * 256), 3.0e4f * sign);
          x = simt::rounded(x, DType::kBF16);
          auto y = multiply(backend, *prepared, x, rows, DType::kF32);
          EXPECT_LT(relative_error(w.view, x, y, rows), 1e-5) << bits << " " << group;
          for (size_t i = 0; i < x.size(); i += 2) x[i] = -x[i];
          y = multiply(backend, *prepared, x, rows, DType::kF32);
          EXPECT_LT(relative_error(w.view, x, y, rows), 5e-5) << bits << " " << group;
        }
    }
}

TEST(SimtIntegerProduct, ZeroTinyAndHugeActivations) {
  const TestWeights w({{QuantMode::kAffine, 4, 64}, DType::kBF16}, 1, 16, 256, false);
  simt::SimtTestBackend backend(DType::kF32);
  const auto prepared = (*backend).prepare(w.view);
  for (float y : multiply(backend, *prepared, std::vector<float>(256), 1, DType::kF32))
    EXPECT_EQ(y, 0.0f);
  for (float size : {1e-25f, 1e30f}) {
    auto x = random_rows(1, 256, DType::kF32);
    for (float& v : x) v *= size;
    const auto y = multiply(backend, *prepared, x, 1, DType::kF32);
    EXPECT_LT(relative_error(w.view, x, y, 1), 5e-5) << size;
  }
  for (float size : {1e-38f, 1e-44f})  // taken for zero
    for (float y : multiply(backend, *prepared, std::vector<float>(256, size), 1, DType::kF32))
      EXPECT_LT(std::abs(y), 1e-30f);
}

TEST(SimtIntegerProduct, NotFiniteActivationsStayInTheirRow) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr int64_t kColumns = 256, kRows = 18;
  for (const WeightFormat& format : {WeightFormat{{QuantMode::kAffine, 4, 64}, DType::kBF16},
                                     WeightFormat{{QuantMode::kNvfp4, 4, 16}, DType::kBF16}})
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      simt::SimtTestBackend backend(dtype);
      const TestWeights w(format, 1, kRows, kColumns, false);
      const auto prepared = (*backend).prepare(w.view);
      for (int64_t rows : {3, 14, 20}) {
        const auto x = random_rows(rows, kColumns, dtype);
        const auto clean = multiply(backend, *prepared, x, rows, DType::kF32);
        for (float bad : {kInf, -kInf, std::nanf("")}) {
          auto with = x;
          with[kColumns + 100] = bad;
          const auto y = multiply(backend, *prepared, with, rows, DType::kF32);
          for (int64_t i = 0; i < rows * kRows; ++i) {
            const auto at = static_cast<size_t>(i);
            if (i / kRows == 1)
              EXPECT_FALSE(std::isfinite(y[at]));
            else
              EXPECT_EQ(y[at], clean[at]);
          }
        }
      }
    }
}

TEST(SimtIntegerProduct, NoRows) {
  simt::SimtTestBackend backend(DType::kBF16);
  const TestWeights w({{QuantMode::kAffine, 4, 64}, DType::kBF16}, 1, 4, 64, false);
  const auto prepared = (*backend).prepare(w.view);
  EXPECT_TRUE(multiply(backend, *prepared, {}, 0, DType::kBF16).empty());
}

}  // namespace
}  // namespace mica

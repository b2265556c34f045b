// The integer family of the CUDA kernels on the emulator: affine weights, mxfp4 and nvfp4.
#include <gtest/gtest.h>

#include <numeric>

#include "ops/embed/embed.h"
#include "ops/linear/cuda_linear.h"
#include "ops/linear/test_weights.h"
#include "ops/simt/test_backend.h"
#include "tolerance.h"

namespace mica {
namespace {

constexpr DType kFloats[] = {DType::kF32, DType::kBF16, DType::kF16};

bool is_integer(const WeightFormat& format) {
  const QuantMode mode = format.scheme.mode;
  return mode == QuantMode::kAffine || mode == QuantMode::kMxfp4 || mode == QuantMode::kNvfp4;
}

std::vector<WeightFormat> integer_formats() {
  std::vector<WeightFormat> formats = all_formats();
  std::erase_if(formats, [](const WeightFormat& format) { return !is_integer(format); });
  return formats;
}

gpu::GpuBackend& gpu_of(TestBackend& backend) {
  return gpu::as_gpu(*backend);
}

// Rows of an expert times scale, as a tensor of the dtype holds them.
std::vector<float> rows_of(const TestWeights& w, int64_t expert, const std::vector<int32_t>& rows,
                           float scale, DType dtype) {
  std::vector<float> values, row(static_cast<size_t>(w.view.columns));
  for (int32_t r : rows) {
    dequantize_row(w.view, expert, r, row.data());
    for (float v : row) values.push_back(v * scale);
  }
  return simt::rounded(values, dtype);
}

Tensor blank(TestBackend& backend, int64_t rows, int64_t columns, DType dtype) {
  return backend.put(std::vector<float>(static_cast<size_t>(rows * columns), -77.0f),
                     {rows, columns}, dtype);
}

TEST(SimtInteger, RowsExpandToTheirDefinition) {
  constexpr int64_t kExperts = 2, kRows = 37;
  const std::vector<int32_t> ids = {0, 36, 15, 16, 8, 7, 31, 36};
  for (const WeightFormat& format : integer_formats())
    for (int64_t columns : {48, 96, 128, 192, 640}) {
      if (columns % format.scheme.group != 0) continue;
      SCOPED_TRACE(to_string(format) + " " + std::to_string(columns));
      const TestWeights w(format, kExperts, kRows, columns, false);
      for (DType dtype : kFloats) {
        simt::SimtTestBackend backend(dtype, {.order = simt::Order::kReverse});
        const auto prepared = (*backend).prepare(w.view);
        const auto& weights = gpu::as_gpu(prepared.get());
        const Tensor out = blank(backend, 8, columns, dtype);
        backend.ops().embed(
            *backend,
            {.ids = backend.put_ids(ids, {8}), .table = prepared.get(), .scale = 0.3f, .out = out});
        EXPECT_EQ(backend.get(out), rows_of(w, 0, ids, 0.3f, dtype));
        simt::expand(gpu_of(backend),
                     {.weights = &weights, .expert = 1, .first = 13, .count = 8, .out = out});
        std::vector<int32_t> range(8);
        std::iota(range.begin(), range.end(), 13);
        EXPECT_EQ(backend.get(out), rows_of(w, 1, range, 1, dtype));
      }
    }
}

TEST(SimtInteger, EmbeddingOfNoRows) {
  simt::SimtTestBackend backend(DType::kBF16);
  const TestWeights w({{QuantMode::kAffine, 4, 64}, DType::kBF16}, 1, 4, 64, false);
  const auto prepared = (*backend).prepare(w.view);
  backend.ops().embed(*backend, {.ids = backend.put_ids({}, {0}),
                                 .table = prepared.get(),
                                 .out = blank(backend, 0, 64, DType::kBF16)});
  (*backend).synchronize();
}

// Scale bytes that are no ordinary numbers.
TEST(SimtInteger, ExtremeScales) {
  for (QuantMode mode : {QuantMode::kMxfp4, QuantMode::kNvfp4}) {
    const int group = mode == QuantMode::kMxfp4 ? 32 : 16;
    const int64_t columns = 256 * group;
    TestWeights w({{mode, 4, group}, DType::kBF16}, 1, 1, columns, false);
    for (size_t code = 0; code < 256; ++code) w.scales[code] = static_cast<uint8_t>(code);
    simt::SimtTestBackend backend(DType::kF32);
    const auto prepared = (*backend).prepare(w.view);
    const Tensor out = blank(backend, 1, columns, DType::kF32);
    backend.ops().embed(*backend,
                        {.ids = backend.put_ids({0}, {1}), .table = prepared.get(), .out = out});
    const auto found = backend.get(out), expected = rows_of(w, 0, {0}, 1, DType::kF32);
    for (size_t i = 0; i < found.size(); ++i) {
      if (std::isnan(found[i]) && std::isnan(expected[i])) continue;
      ASSERT_EQ(found[i], expected[i]) << to_string(w.view.scheme) << " " << i;
    }
  }
}

TEST(SimtInteger, PackedFormIsAsLargeAsTheCheckpoint) {
  simt::SimtTestBackend backend(DType::kBF16);
  for (const WeightFormat& format : integer_formats()) {
    const TestWeights w(format, 3, 64, 2880 / 128 * 128, true);
    const auto prepared = (*backend).prepare(w.view);
    (*backend).synchronize();
    EXPECT_EQ(prepared->weight_bytes * 3, w.view.weight_bytes()) << to_string(format);
    EXPECT_EQ(prepared->bytes, w.view.weight_bytes() + 3 * 64 * 4) << to_string(format);
  }
}

TEST(SimtInteger, BadWeightsAreRefused) {
  simt::SimtTestBackend backend(DType::kBF16);
  const auto refused = [&](const TestWeights& w) {
    EXPECT_THROW((*backend).prepare(w.view), Error);
  };
  const WeightFormat format{{QuantMode::kAffine, 4, 64}, DType::kBF16};
  TestWeights w(format, 1, 16, 128, true);
  w.view.columns = 192;
  refused(w);
  TestWeights groups(format, 1, 16, 128, false);
  groups.view.scales.shape = {1, 16, 1};
  refused(groups);
  TestWeights bits(format, 1, 16, 128, false);
  bits.view.scheme.bits = 7;
  refused(bits);
  TestWeights dtypes(format, 1, 16, 128, false);
  dtypes.view.biases.dtype = DType::kF16;
  refused(dtypes);
}

}  // namespace
}  // namespace mica

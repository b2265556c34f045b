// The float family of the CUDA kernels on the emulator: dense weights and mxfp8.
#include <gtest/gtest.h>

#include "ops/embed/embed.h"
#include "ops/linear/cuda_linear.h"
#include "ops/linear/test_weights.h"
#include "ops/simt/test_backend.h"
#include "tolerance.h"

namespace mica {
namespace {

constexpr DType kFloats[] = {DType::kF32, DType::kBF16, DType::kF16};

std::vector<WeightFormat> float_formats() {
  return {{{QuantMode::kNone, 0, 0}, DType::kF32},
          {{QuantMode::kNone, 0, 0}, DType::kBF16},
          {{QuantMode::kNone, 0, 0}, DType::kF16},
          {{QuantMode::kMxfp8, 8, 32}, DType::kBF16}};
}

bool allows(const WeightFormat& format, int64_t columns) {
  return format.scheme.mode == QuantMode::kNone || columns % format.scheme.group == 0;
}

gpu::GpuBackend& gpu_of(TestBackend& backend) {
  return gpu::as_gpu(*backend);
}

// Rows of an expert as f32, times scale, as a tensor of the dtype holds them.
std::vector<float> rows_of(const TestWeights& w, int64_t expert, const std::vector<int32_t>& rows,
                           DType dtype, float scale = 1) {
  std::vector<float> values;
  std::vector<float> row(static_cast<size_t>(w.view.columns));
  for (int32_t r : rows) {
    dequantize_row(w.view, expert, r, row.data());
    for (float v : row) values.push_back(v * scale);
  }
  return simt::rounded(values, dtype);
}

void check_embed(const WeightFormat& format, DType activations, int64_t columns) {
  SCOPED_TRACE(to_string(format) + " to " + name(activations) + " " + std::to_string(columns));
  TestWeights w(format, 1, 37, columns, false);
  const std::vector<int32_t> ids = {0, 36, 15, 16, 17, 36, 31, 8, 7, 1, 2, 3, 4, 5, 6, 9, 10, 24};
  const auto count = static_cast<int64_t>(ids.size());
  std::vector<std::vector<float>> found;
  for (const auto& schedule : {simt::Schedule{}, simt::Schedule{.order = simt::Order::kReverse}}) {
    simt::SimtTestBackend backend(activations, schedule);
    const auto table = (*backend).prepare(w.view);
    const Tensor out = backend.put(std::vector<float>(static_cast<size_t>(count * columns), -7),
                                   {count, columns}, activations);
    for (float scale : {1.0f, 0.3f}) {
      backend.ops().embed(
          *backend,
          {.ids = backend.put_ids(ids, {count}), .table = table.get(), .scale = scale, .out = out});
      EXPECT_EQ(backend.get(out), rows_of(w, 0, ids, activations, scale));
    }
  }
}

TEST(SimtFloat, EmbedEqualsDequantizedRows) {
  for (const WeightFormat& format : float_formats())
    for (DType activations : kFloats)
      for (int64_t columns : {128, 160, 131, 8, 1})
        if (allows(format, columns)) check_embed(format, activations, columns);
}

TEST(SimtFloat, NoIdsToEmbed) {
  simt::SimtTestBackend backend(DType::kBF16);
  TestWeights w(float_formats()[1], 1, 5, 8, false);
  const auto table = (*backend).prepare(w.view);
  const Tensor out = backend.put(std::vector<float>(), {0, 8}, DType::kBF16);
  backend.ops().embed(*backend,
                      {.ids = backend.put_ids({}, {0}), .table = table.get(), .out = out});
  EXPECT_TRUE(backend.get(out).empty());
}

TEST(SimtFloat, ExpandsRowsOfAnExpert) {
  for (const WeightFormat& format : float_formats()) {
    SCOPED_TRACE(to_string(format));
    TestWeights w(format, 3, 41, 96, false);
    simt::SimtTestBackend backend(DType::kF32);
    const auto prepared = (*backend).prepare(w.view);
    std::vector<int32_t> rows(25);
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int32_t>(i + 14);
    const Tensor out = backend.put(std::vector<float>(25 * 96), {25, 96});
    simt::expand(gpu_of(backend), {.weights = &gpu::as_gpu(prepared.get()),
                                   .expert = 2,
                                   .first = 14,
                                   .count = 25,
                                   .out = out});
    EXPECT_EQ(backend.get(out), rows_of(w, 2, rows, DType::kF32));
  }
}

// All 256 codes under scales from the least to the largest; a NaN makes its group infinite.
TEST(SimtFloat, EveryMxfp8Value) {
  TestWeights w({{QuantMode::kMxfp8, 8, 32}, DType::kBF16}, 1, 4, 256, false);
  for (size_t i = 0; i < w.weight.size(); ++i) w.weight[i] = static_cast<uint8_t>(i);
  for (size_t i = 0; i < w.scales.size(); ++i) w.scales[i] = static_cast<uint8_t>(i * 8);
  simt::SimtTestBackend backend(DType::kF32);
  const auto prepared = (*backend).prepare(w.view);
  const Tensor out = backend.put(std::vector<float>(4 * 256), {4, 256});
  backend.ops().embed(
      *backend, {.ids = backend.put_ids({0, 1, 2, 3}, {4}), .table = prepared.get(), .out = out});
  const auto found = backend.get(out);
  const auto expected = rows_of(w, 0, {0, 1, 2, 3}, DType::kF32);
  for (size_t i = 0; i < found.size(); ++i) {
    const bool with_nan = (i / 32 * 32 | 31) % 128 == 127;
    if (with_nan)
      EXPECT_FALSE(std::isfinite(found[i])) << i;
    else
      EXPECT_EQ(found[i], expected[i]) << i;
  }
}

TEST(SimtFloat, RefusesWhatItCannotHold) {
  simt::SimtTestBackend backend(DType::kBF16);
  TestWeights mx({{QuantMode::kMxfp8, 8, 32}, DType::kBF16}, 1, 16, 64, true);
  LinearWeights bad = mx.view;
  bad.rows = 17;
  EXPECT_THROW((*backend).prepare(bad), Error);
  bad = mx.view;
  bad.scheme.group = 16;
  EXPECT_THROW((*backend).prepare(bad), Error);
  bad = mx.view;
  bad.columns = 48;
  EXPECT_THROW((*backend).prepare(bad), Error);
  bad = mx.view;
  bad.bias.dtype = DType::kI32;
  EXPECT_THROW((*backend).prepare(bad), Error);
  TestWeights dense({{QuantMode::kNone, 0, 0}, DType::kBF16}, 1, 16, 64, false);
  bad = dense.view;
  bad.weight.dtype = DType::kU16;
  EXPECT_THROW((*backend).prepare(bad), Error);
}

}  // namespace
}  // namespace mica

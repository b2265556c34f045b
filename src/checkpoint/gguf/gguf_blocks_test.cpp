// Layouts of blocks, byte by byte, and which type holds which weights exactly.
#include "checkpoint/gguf/gguf_blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/mix.h"
#include "checkpoint/gguf/gguf_choice.h"
#include "checkpoint/synthetic.h"

namespace mica {
namespace {

constexpr int64_t kRows = 6;

// An affine layer with memory of its own; codes, scales and biases are set by element and group.
class AffineLayer {
 public:
  AffineLayer(int bits, int group, DType dtype, int64_t columns = 256) {
    w_.name = "layer";
    w_.scheme = {QuantMode::kAffine, bits, group};
    w_.rows = kRows;
    w_.columns = columns;
    packed_.resize(static_cast<size_t>(kRows * columns * bits / 8));
    const int64_t groups = columns / group;
    scales_.resize(static_cast<size_t>(kRows * groups) * size_of(dtype));
    biases_ = scales_;
    w_.weight = {packed_.data(), DType::kU32, {kRows, columns * bits / 32}};
    w_.scales = {scales_.data(), dtype, {kRows, groups}};
    w_.biases = {biases_.data(), dtype, {kRows, groups}};
    for (int64_t i = 0; i < kRows * columns; ++i)
      set_code(i, static_cast<uint32_t>(mix64(static_cast<uint64_t>(i))));
  }
  void set_code(int64_t element, uint32_t code) {
    const int bits = w_.scheme.bits;
    for (int bit = 0; bit < bits; ++bit) {
      const auto at = static_cast<size_t>(element * bits + bit);
      const auto mask = static_cast<uint8_t>(1u << at % 8);
      if (code >> bit & 1)
        packed_[at / 8] = static_cast<uint8_t>(packed_[at / 8] | mask);
      else
        packed_[at / 8] = static_cast<uint8_t>(packed_[at / 8] & ~mask);
    }
  }
  // The values of group i of all rows, rounded to the dtype.
  template <typename F>
  void set_groups(F scale_and_bias) {
    for (int64_t i = 0; i < w_.scales.elements(); ++i) {
      const auto [scale, bias] = scale_and_bias(i);
      const auto at = static_cast<size_t>(i) * size_of(w_.scales.dtype);
      from_f32(&scale, 1, w_.scales.dtype, scales_.data() + at);
      from_f32(&bias, 1, w_.scales.dtype, biases_.data() + at);
    }
  }
  const LinearWeights& weights() const { return w_; }

 private:
  LinearWeights w_;
  std::vector<uint8_t> packed_;
  std::vector<std::byte> scales_, biases_;
};

std::pair<float, float> uneven(int64_t i) {
  const float scale = (i % 2 ? 0.011f : -0.0071f) * static_cast<float>(1 + i % 5);
  return {scale, -3.3f * scale};
}

// The bits of what is stored are those of dequantize_row.
void expect_exact(const LinearWeights& w, GgufType type) {
  GgufRowEncoder encoder(w, type);
  std::vector<std::byte> row(encoder.row_bytes());
  std::vector<float> stored(static_cast<size_t>(w.columns)), wanted(stored.size());
  for (int64_t expert = 0; expert < w.experts; ++expert)
    for (int64_t n = 0; n < w.rows; ++n) {
      ASSERT_TRUE(encoder.encode(expert, n, row.data()));
      decode_gguf_row(type, row.data(), w.columns, stored.data());
      dequantize_row(w, expert, n, wanted.data());
      for (size_t i = 0; i < wanted.size(); ++i)
        ASSERT_EQ(stored[i], wanted[i]) << to_string(w.scheme) << " row " << n << " column " << i;
    }
}

GgufFit choose(const LinearWeights& w, double max_change = 0) {
  return choose_gguf_type(w, {.max_change = max_change, .threads = 2});
}

std::string type_of(const LinearWeights& w, double max_change = 0) {
  return gguf_type(choose(w, max_change).type).name;
}

TEST(GgufBlocks, AffineOfEveryKindIsHeldExactly) {
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const int group : {32, 64, 128})
      for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
        AffineLayer layer(bits, group, dtype);
        layer.set_groups(uneven);
        const GgufFit fit = choose(layer.weights());
        // f32 scales have more bits than f16; 6 and 8 bits have no block with an offset.
        const char* expected = dtype == DType::kF32 || bits > 5 ? "F32"
                               : bits == 5                      ? "Q5_1"
                                                                : "Q4_1";
        EXPECT_STREQ(gguf_type(fit.type).name, expected) << bits << " " << group;
        EXPECT_EQ(fit.weights, kRows * 256);
        EXPECT_EQ(fit.changed, 0);
        expect_exact(layer.weights(), fit.type);
      }
}

TEST(GgufBlocks, F32ScalesThatAreF16AreHeldInBlocks) {
  AffineLayer layer(4, 64, DType::kF32);
  layer.set_groups([](int64_t i) { return std::pair(0.25f * static_cast<float>(i + 1), -0.5f); });
  EXPECT_EQ(type_of(layer.weights()), "Q4_1");
  expect_exact(layer.weights(), GgufType::kQ4_1);
}

TEST(GgufBlocks, SymmetricGroupsNeedNoOffset) {
  const std::tuple<int, float, const char*> cases[] = {
      {4, 8, "Q4_0"},   {3, 4, "Q4_0"}, {2, 2, "Q4_0"}, {5, 16, "Q5_0"}, {6, 32, "Q8_0"},
      {8, 128, "Q8_0"}, {8, 0, "F32"},  {4, 0, "Q4_1"}, {5, 3, "Q5_1"},  {6, 16, "Q8_0"}};
  for (const auto& [bits, middle, expected] : cases) {
    AffineLayer layer(bits, 64, DType::kBF16);
    layer.set_groups([middle = middle](int64_t i) {
      const float scale = bf16_to_f32(f32_to_bf16(uneven(i).first));
      return std::pair(scale, -middle * scale);
    });
    EXPECT_EQ(type_of(layer.weights()), expected) << bits << " bits, middle " << middle;
    expect_exact(layer.weights(), choose(layer.weights()).type);
  }
}

TEST(GgufBlocks, ScalesOutsideF16) {
  AffineLayer tiny(4, 64, DType::kBF16), huge(4, 64, DType::kBF16);
  tiny.set_groups([](int64_t i) { return i == 5 ? std::pair(1e-7f, 0.f) : uneven(i); });
  huge.set_groups([](int64_t i) { return i == 5 ? std::pair(1e6f, 0.f) : uneven(i); });
  EXPECT_EQ(type_of(tiny.weights()), "F32");
  EXPECT_EQ(type_of(huge.weights()), "F32");
  // One group of changes far below the largest weight is little.
  const GgufFit fit = choose(tiny.weights(), 1e-4);
  EXPECT_EQ(fit.type, GgufType::kQ4_1);
  EXPECT_GT(fit.changed, 0);
  EXPECT_LE(fit.changed, 64);
  EXPECT_LT(fit.largest_change, 1e-6);
  EXPECT_EQ(type_of(huge.weights(), 1e-4), "F32");
}

TEST(GgufBlocks, ZeroRowsHaveAnyScale) {
  // What mlx makes of a row of zeros: the least scale, code 0, bias 0.
  AffineLayer layer(4, 64, DType::kBF16);
  for (int64_t i = 0; i < 256; ++i) layer.set_code(256 + i, 0);
  layer.set_groups([](int64_t i) { return i / 4 == 1 ? std::pair(1e-7f, 0.f) : uneven(i); });
  EXPECT_EQ(type_of(layer.weights()), "Q4_1");
  expect_exact(layer.weights(), GgufType::kQ4_1);
}

TEST(GgufBlocks, WhatMayChangeIsStoredSmaller) {
  AffineLayer layer(8, 64, DType::kBF16);
  layer.set_groups(uneven);
  const GgufFit f16 = choose(layer.weights(), 5e-4);
  EXPECT_EQ(f16.type, GgufType::kF16);
  EXPECT_GT(f16.changed, 100);
  EXPECT_GT(f16.largest_change, 1e-5);
  EXPECT_LE(f16.largest_change, 5e-4);
  const GgufFit q8 = choose(layer.weights(), 1e-2);
  EXPECT_EQ(q8.type, GgufType::kQ8_0);
  EXPECT_GT(q8.largest_change, 5e-4);
  EXPECT_LE(q8.largest_change, 1.01 / 254);
}

TEST(GgufBlocks, AnAskedTypeIsTakenAndItsChangesCounted) {
  AffineLayer layer(4, 64, DType::kBF16);
  layer.set_groups(uneven);
  const GgufFit fit = choose_gguf_type(layer.weights(), {.type = GgufType::kBf16, .threads = 1});
  EXPECT_EQ(fit.type, GgufType::kBf16);
  EXPECT_GT(fit.changed, 0);
  EXPECT_LT(fit.largest_change, 1.0 / 256);
}

TEST(GgufBlocks, OtherFormats) {
  const std::pair<QuantScheme, const char*> cases[] = {{{QuantMode::kMxfp4, 4, 32}, "MXFP4"},
                                                       {{QuantMode::kNvfp4, 4, 16}, "F16"}};
  for (const auto& [scheme, expected] : cases) {
    SyntheticWeights source({.scheme = scheme, .seed = 3});
    const LinearWeights w = source.linear("a.proj", 10, 256, 2);
    EXPECT_EQ(type_of(w), expected);
    expect_exact(w, choose(w).type);
  }
  const std::pair<DType, const char*> dense[] = {
      {DType::kBF16, "BF16"}, {DType::kF16, "F16"}, {DType::kF32, "F32"}};
  for (const auto& [dtype, expected] : dense) {
    SyntheticWeights source({.scheme = {}, .dtype = dtype, .seed = 3});
    const LinearWeights w = source.linear("a.proj", 10, 48);
    EXPECT_EQ(type_of(w), expected);
    expect_exact(w, choose(w).type);
  }
}

// The bytes of the first block of a row whose codes are 0, 1, 2 … and whose scale is 2, bias -1.
std::vector<uint8_t> first_block(int bits, float scale, float bias, GgufType type) {
  AffineLayer layer(bits, 32, DType::kF16);
  for (int64_t i = 0; i < 32; ++i) layer.set_code(i, static_cast<uint32_t>(i));
  layer.set_groups([&](int64_t) { return std::pair(scale, bias); });
  GgufRowEncoder encoder(layer.weights(), type);
  std::vector<uint8_t> row(encoder.row_bytes());
  EXPECT_TRUE(encoder.encode(0, 0, reinterpret_cast<std::byte*>(row.data())));
  row.resize(gguf_type(type).bytes);
  return row;
}

TEST(GgufBlocks, LayoutOfQ4) {
  std::vector<uint8_t> expected = {0x00, 0x40, 0x00, 0xbc};  // 2 and -1 in f16
  for (uint8_t i = 0; i < 16; ++i) expected.push_back(static_cast<uint8_t>(i | i << 4));
  EXPECT_EQ(first_block(4, 2, -1, GgufType::kQ4_1), expected);
  expected.erase(expected.begin() + 2, expected.begin() + 4);
  EXPECT_EQ(first_block(4, 2, -16, GgufType::kQ4_0), expected);
}

TEST(GgufBlocks, LayoutOfQ5) {
  std::vector<uint8_t> expected = {0x00, 0x40, 0x00, 0xbc, 0, 0, 0xff, 0xff};
  for (uint8_t i = 0; i < 16; ++i) expected.push_back(static_cast<uint8_t>(i | i << 4));
  EXPECT_EQ(first_block(5, 2, -1, GgufType::kQ5_1), expected);
  expected.erase(expected.begin() + 2, expected.begin() + 4);
  EXPECT_EQ(first_block(5, 2, -32, GgufType::kQ5_0), expected);
}

TEST(GgufBlocks, LayoutOfQ8) {
  std::vector<uint8_t> expected = {0x00, 0x40};
  for (int i = 0; i < 32; ++i) expected.push_back(static_cast<uint8_t>(i - 128));
  EXPECT_EQ(first_block(8, 2, -256, GgufType::kQ8_0), expected);
}

}  // namespace
}  // namespace mica

// Random weights of every format for tests and benchmarks of linear layers.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tensor/quantization.h"

namespace mica {

struct WeightFormat {
  QuantScheme scheme;
  DType dtype;  // of dense weights, or of affine scales
};

inline std::string to_string(const WeightFormat& format) {
  return to_string(format.scheme) + " " + name(format.dtype);
}

// Owns what a LinearWeights views.
struct TestWeights {
  LinearWeights view;
  std::vector<uint8_t> weight, scales, biases, bias;

  TestWeights(const WeightFormat& format, int64_t experts, int64_t rows, int64_t columns,
              bool with_bias, uint32_t seed = 1) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const QuantScheme& scheme = format.scheme;
    const int64_t all = experts * rows;
    view.name = "test";
    view.scheme = scheme;
    view.experts = experts;
    view.rows = rows;
    view.columns = columns;
    const auto floats = [&](std::vector<uint8_t>& to, DType dtype, int64_t count, auto&& next) {
      std::vector<float> values(static_cast<size_t>(count));
      for (float& v : values) v = next();
      to.resize(static_cast<size_t>(count) * size_of(dtype));
      from_f32(values.data(), count, dtype, to.data());
    };
    if (scheme.mode == QuantMode::kNone) {
      floats(weight, format.dtype, all * columns, [&] { return 0.05f * normal(random); });
      view.weight = {weight.data(), format.dtype, {experts, rows, columns}};
    } else {
      weight.resize(static_cast<size_t>(all * columns * scheme.bits / 8));
      for (auto& byte : weight) {
        byte = static_cast<uint8_t>(random());
        if (scheme.mode == QuantMode::kMxfp8 && (byte & 0x7f) == 0x7f) byte ^= 1;  // NaN
      }
      view.weight = {weight.data(), DType::kU32, {experts, rows, columns * scheme.bits / 32}};
      const int64_t groups = columns / scheme.group;
      const Shape shape{experts, rows, groups};
      if (scheme.mode == QuantMode::kAffine) {
        const auto levels = static_cast<float>((1 << scheme.bits) - 1);
        floats(scales, format.dtype, all * groups, [&] {
          return (random() % 2 ? 1.0f : -1.0f) * (0.5f + 0.1f * normal(random)) / levels;
        });
        std::vector<float> scale(static_cast<size_t>(all * groups));
        to_f32(scales.data(), format.dtype, all * groups, scale.data());
        size_t i = 0;
        floats(biases, format.dtype, all * groups,
               [&] { return -scale[i++] * levels * (0.5f + 0.05f * normal(random)); });
        view.scales = {scales.data(), format.dtype, shape};
        view.biases = {biases.data(), format.dtype, shape};
      } else {
        scales.resize(static_cast<size_t>(all * groups));
        for (auto& code : scales)
          code = scheme.mode == QuantMode::kNvfp4
                     ? static_cast<uint8_t>(random() % 0x60 + (random() % 4 == 0 ? 0x80 : 0))
                     : static_cast<uint8_t>(115 + random() % 6);
        view.scales = {scales.data(), DType::kU8, shape};
      }
    }
    if (with_bias) {
      floats(bias, DType::kBF16, all, [&] { return normal(random); });
      view.bias = {bias.data(), DType::kBF16, {experts, rows}};
    }
  }
};

// Every format that a checkpoint can have.
inline std::vector<WeightFormat> all_formats() {
  std::vector<WeightFormat> formats;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    formats.push_back({{QuantMode::kNone, 0, 0}, dtype});
    for (int bits : {2, 3, 4, 5, 6, 8})
      for (int group : {32, 64, 128}) formats.push_back({{QuantMode::kAffine, bits, group}, dtype});
  }
  formats.push_back({{QuantMode::kMxfp4, 4, 32}, DType::kBF16});
  formats.push_back({{QuantMode::kMxfp8, 8, 32}, DType::kBF16});
  formats.push_back({{QuantMode::kNvfp4, 4, 16}, DType::kBF16});
  return formats;
}

}  // namespace mica

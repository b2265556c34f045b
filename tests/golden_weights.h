// Weights of the golden models, made from each parameter's name: the twin of tools/golden.py.
#pragma once

#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/quantization_table.h"
#include "checkpoint/weights.h"

namespace mica {

class GoldenWeights : public WeightSource {
 public:
  struct Options {
    DType dtype = DType::kBF16;  // of the float parameters
    bool gemma = false;          // norms are stored less one
    std::function<bool(const std::string& path)> biased;
  };
  // `config_json`: for its "quantization".
  GoldenWeights(const std::string& config_json, Options options)
      : table_(QuantizationTable::parse(config_json)), options_(std::move(options)) {}

  bool has(const std::string& path) const override {
    return !(options_.gemma && path.ends_with("lm_head"));
  }

  LinearWeights linear(const std::string& path, int64_t rows, int64_t columns,
                       int64_t experts) override {
    LinearWeights w;
    w.name = path;
    w.experts = experts;
    w.rows = rows;
    w.columns = columns;
    w.scheme = scheme_of(path);
    Shape shape = experts > 1 ? Shape{experts, rows} : Shape{rows};
    if (w.scheme.mode == QuantMode::kNone) {
      shape.push_back(columns);
      w.weight = floats(path + ".weight", shape, options_.dtype, Kind::kDense, columns, 0);
    } else {
      quantized(w, path, shape);
    }
    if (options_.biased && options_.biased(path))
      w.bias = floats(path + ".bias", {rows}, options_.dtype, Kind::kBias, 0, 0);
    return w;
  }

  Tensor parameter(const std::string& name, const Shape& shape) override {
    return floats(name, shape, options_.dtype, Kind::kNorm, 0, 0);
  }

  void release(const LinearWeights&) override {}

 private:
  enum class Kind { kDense, kScales, kBiases, kNorm, kBias };

  QuantScheme scheme_of(const std::string& path) const {
    if (const auto named = table_.named(path)) return *named;
    return table_.general().value_or(QuantScheme{});
  }

  static uint64_t mixed(const std::string& name, uint64_t index, uint64_t stream) {
    uint64_t key = 0xCBF29CE484222325u;
    for (unsigned char byte : name) key = (key ^ byte) * 0x100000001B3u;
    uint64_t z = key + stream * 0xD1B54A32D192ED03u + (index + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  static float unit(const std::string& name, uint64_t index, uint64_t stream = 0) {
    return static_cast<float>(mixed(name, index, stream) >> 40) / 16777216.0f;
  }

  void quantized(LinearWeights& w, const std::string& path, const Shape& outer) {
    Shape packed = outer, grouped = outer;
    packed.push_back(w.columns * w.scheme.bits / 32);
    grouped.push_back(w.columns / w.scheme.group);
    w.weight = take(DType::kU32, packed);
    const uint32_t mask = w.scheme.mode == QuantMode::kMxfp8 ? 0xBFBFBFBFu : 0xFFFFFFFFu;
    for (int64_t i = 0; i < w.weight.elements(); ++i)
      w.weight.as<uint32_t>()[i] =
          static_cast<uint32_t>(mixed(path + ".weight", static_cast<uint64_t>(i), 0) >> 32) & mask;
    if (w.scheme.mode == QuantMode::kAffine) {
      w.scales = floats(path + ".scales", grouped, options_.dtype, Kind::kScales, w.columns,
                        w.scheme.bits);
      w.biases = floats(path + ".biases", grouped, options_.dtype, Kind::kBiases, w.columns,
                        w.scheme.bits);
      return;
    }
    w.scales = take(DType::kU8, grouped);
    const float base = w.scheme.mode == QuantMode::kNvfp4   ? 8.0f
                       : w.scheme.mode == QuantMode::kMxfp4 ? 120.0f
                                                            : 123.0f;
    const float span = w.scheme.mode == QuantMode::kNvfp4 ? 12.0f : 4.0f;
    for (int64_t i = 0; i < w.scales.elements(); ++i)
      w.scales.as<uint8_t>()[i] =
          static_cast<uint8_t>(base + span * unit(path + ".scales", static_cast<uint64_t>(i)));
  }

  float value(const std::string& name, uint64_t i, Kind kind, int64_t columns, int bits) const {
    const float u = unit(name, i);
    const float width =
        columns ? static_cast<float>(std::sqrt(3.0 / static_cast<double>(columns))) : 1;
    const float steps = static_cast<float>((1 << bits) - 1);
    switch (kind) {
      case Kind::kDense: return (2 * u - 1) * width;
      case Kind::kNorm: return (u - 0.5f) * 0.4f + (options_.gemma ? 0.0f : 1.0f);
      case Kind::kBias: return (u - 0.5f) * 0.2f;
      case Kind::kScales: {
        const float scale = (0.5f + u) * width * 2 / steps;
        return unit(name, i, 1) < 0.5f ? -scale : scale;
      }
      case Kind::kBiases: {
        const std::string scales = name.substr(0, name.size() - 6) + "scales";
        return -value(scales, i, Kind::kScales, columns, bits) * (steps / 2) * (0.9f + 0.2f * u);
      }
    }
    return 0;
  }

  Tensor take(DType dtype, const Shape& shape) {
    Tensor tensor{nullptr, dtype, shape};
    memory_.emplace_back(tensor.bytes());
    tensor.data = memory_.back().data();
    return tensor;
  }

  Tensor floats(const std::string& name, const Shape& shape, DType dtype, Kind kind,
                int64_t columns, int bits) {
    const Tensor tensor = take(dtype, shape);
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = value(name, i, kind, columns, bits);
    from_f32(values.data(), tensor.elements(), dtype, tensor.data);
    return tensor;
  }

  QuantizationTable table_;
  Options options_;
  std::deque<std::vector<std::byte>> memory_;
};

}  // namespace mica

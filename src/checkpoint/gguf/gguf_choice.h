// Which GGUF type holds a layer's weights.
#pragma once

#include <cstdint>
#include <optional>

#include "checkpoint/gguf/gguf_types.h"
#include "tensor/quantization.h"

namespace mica {

// How a type holds the weights of a layer. A weight's value is what dequantize_row gives: scale *
// code, rounded to f32, plus the bias, rounded to f32; ggml defines the values of its blocks so,
// too.
struct GgufFit {
  GgufType type = GgufType::kF32;
  int64_t weights = 0;
  int64_t changed = 0;        // weights of another value
  double largest_change = 0;  // |difference|, as a part of the layer's largest |weight|
};

struct GgufTypeChoice {
  // Layers may change so much, as a part of their largest weight; 0 = not at all.
  double max_change = 0;
  std::optional<GgufType> type;  // this one whatever it changes: F16, BF16, F32
  int threads = 0;               // 0 = all
};

// nullopt: the type has no place for these weights, or some change by more than `max_change`.
std::optional<GgufFit> measure_gguf_fit(const LinearWeights& weights, GgufType type,
                                        double max_change, int threads);

// The smallest type of written_gguf_types() that holds quantized weights as the choice asks; F32
// holds all. Dense weights keep their dtype.
GgufFit choose_gguf_type(const LinearWeights& weights, const GgufTypeChoice& choice);

}  // namespace mica

// The quantized weight formats of MLX checkpoints, and the view of one linear layer's weights.
// Layouts: mlx/ops.cpp (quantize), docs/checkpoints.md.
#pragma once

#include <string>

#include "tensor/tensor.h"

namespace mica {

enum class QuantMode : uint8_t {
  kNone,    // dense f32, f16 or bf16
  kAffine,  // w = scale * q + bias, q unsigned
  kMxfp4,   // E2M1 with an E8M0 scale for 32
  kMxfp8,   // E4M3 with an E8M0 scale for 32
  kNvfp4,   // E2M1 with an E4M3 scale for 16
};

struct QuantScheme {
  QuantMode mode = QuantMode::kNone;
  int bits = 0;   // affine: 2 3 4 5 6 8; mxfp4, nvfp4: 4; mxfp8: 8
  int group = 0;  // elements that share a scale: affine 32 64 128; mx 32; nv 16
  bool operator==(const QuantScheme&) const = default;
};

std::string to_string(
    const QuantScheme& scheme);  // "bf16"-less: "affine 4-bit g64", "mxfp4", "none"

// One linear layer (or a stack of experts, or an embedding table) as the checkpoint stores it:
// views into the mapped file, unchanged. y[n] = sum_k w[n, k] * x[k] + bias[n].
// N = rows (outputs), K = columns (inputs), E = experts (1 when not stacked).
struct LinearWeights {
  std::string name;  // module path, "model.layers.0.self_attn.q_proj"
  QuantScheme scheme;
  int64_t experts = 1;
  int64_t rows = 0;     // N
  int64_t columns = 0;  // K, unpacked
  Tensor weight;  // dense: [E?, N, K] float; quantized: u32 [E?, N, K * bits / 32], a row is one
                  // little-endian bit stream: element i occupies bits [i*bits, (i+1)*bits)
  Tensor scales;  // affine: [E?, N, K/group] float; mxfp*: u8 E8M0; nvfp4: u8 E4M3
  Tensor biases;  // affine only: [E?, N, K/group], dtype of scales
  Tensor bias;    // additive, [E?, N] float, or empty
  bool on_device = false;  // all of them in the memory of the backend that is to prepare them
  // The dtype in which mlx would compute with this layer: scales' or weight's (mx/nv: bf16).
  DType compute_dtype() const;
  size_t bytes() const { return weight_bytes() + (bias.empty() ? 0 : bias.bytes()); }
  size_t weight_bytes() const;  // weight + scales + biases: what a matrix-vector product must read
};

// Row n of expert e as f32[K]: the definition that every kernel is tested against.
void dequantize_row(const LinearWeights& weights, int64_t expert, int64_t row, float* out);

}  // namespace mica

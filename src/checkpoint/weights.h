// Where a model's loader gets its weights from: a checkpoint on disk, or synthetic ones.
#pragma once

#include <cstdint>
#include <string>

#include "tensor/quantization.h"

namespace mica {

// The loader of an architecture asks for each weight once, by its MLX module path and with the
// shape that config.json implies; the source checks and hands out views that stay valid until
// `release` or its own end. Every mismatch throws Error(kCheckpoint) with the tensor's name, what
// was expected and what was found.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  // Whether `<path>.weight` exists ("lm_head", "model.layers.0.self_attn.q_norm").
  virtual bool has(const std::string& path) const = 0;

  // A linear layer or embedding table of [rows, columns], quantized or dense as stored; with
  // experts > 1 a stack [experts, rows, columns] (also gathered from per-expert tensors of raw
  // Hugging Face files). The additive `<path>.bias` comes along where it exists.
  virtual LinearWeights linear(const std::string& path, int64_t rows, int64_t columns,
                               int64_t experts = 1) = 0;

  // A float parameter by its full name ("model.norm.weight") and exact shape.
  virtual Tensor parameter(const std::string& name, const Shape& shape) = 0;

  // The backend has its own copy now: the memory behind these views may go.
  virtual void release(const LinearWeights& weights) = 0;
};

}  // namespace mica

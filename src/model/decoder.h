// The pre-norm decoder that llama, mistral, qwen2, qwen3 and qwen3_moe share:
//   h += attention(norm(h)); h += mlp(norm(h))
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "model/layers.h"
#include "model/model.h"

namespace mica {

struct DecoderLayer {
  Tensor input_layernorm;  // f32 [D]
  AttentionLayer self_attn;
  Tensor post_attention_layernorm;  // f32 [D]
  std::variant<GatedMlp, MoeMlp> mlp;
};

// How an architecture differs from its siblings.
struct DecoderTraits {
  AttentionTraits attention;
  bool mlp_bias = false;
};

// True for layers whose feed-forward part is a mixture of experts.
bool is_moe_layer(const ModelConfig& config, int64_t layer);

std::unique_ptr<Model> load_decoder(const ModelConfig& config, WeightSource& weights,
                                    Backend& backend, const DecoderTraits& traits);

}  // namespace mica

// config.json of a checkpoint as flat data: what the loaders of all architectures read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ops/activation/activation.h"
#include "tensor/dtype.h"

namespace mica {

class Checkpoint;

// `rope_scaling` / `rope_parameters` of config.json, names as there.
struct RopeConfig {
  std::string type = "default";  // default linear dynamic llama3 yarn longrope
  float theta = 10000;
  float factor = 1;
  float low_freq_factor = 1;   // llama3
  float high_freq_factor = 4;  // llama3
  int64_t original_max_position = 0;
  float attention_factor = 0;  // yarn, longrope; 0 = computed
  float beta_fast = 32, beta_slow = 1, mscale = 1, mscale_all_dim = 0;  // yarn
  bool truncate = true;                                                 // yarn
  std::vector<float> short_factor, long_factor;                         // longrope [rotary / 2]
  bool interleaved = false;                                             // "rope_traditional"
  float partial = 1;  // part of the head that is rotated
};

struct ModelConfig {
  std::string model_type;  // as in config.json: llama mistral qwen2 qwen3 qwen3_moe gemma3_text …
  int64_t hidden_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t intermediate_size = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t max_position_embeddings = 0;
  float rms_norm_eps = 1e-6f;
  bool tie_word_embeddings = false;
  bool attention_bias = false;  // q, k, v have an additive bias
  bool mlp_bias = false;
  Activation activation = Activation::kSilu;
  RopeConfig rope;

  // Sliding windows: layer i sees `sliding_window` positions when sliding_layers[i], else all.
  int64_t sliding_window = 0;
  std::vector<bool> sliding_layers;  // empty = none slides
  float rope_local_theta = 10000;    // gemma3: theta of the sliding layers
  float query_pre_attn_scalar = 0;   // gemma: scores are scaled by its inverse root
  float final_logit_softcap = 0;
  float attention_softcap = 0;

  // Mixture of experts.
  int64_t num_experts = 0;
  int64_t num_experts_per_tok = 0;
  int64_t moe_intermediate_size = 0;
  int64_t decoder_sparse_step = 1;
  std::vector<int64_t> mlp_only_layers;
  bool norm_topk_prob = false;

  // Encoders.
  float layer_norm_eps = 1e-12f;
  int64_t type_vocab_size = 0;
  int64_t position_offset = 0;  // row of the first position in the table (roberta: pad id + 1)

  std::string weight_prefix;           // "language_model." of vision checkpoints, else ""
  DType dtype = DType::kBF16;          // dtype of the checkpoint's float weights
  std::vector<int32_t> eos_token_ids;  // config.json, overridden by generation_config.json
  int32_t bos_token_id = -1;
};

// Parses config.json's text. Throws Error(kCheckpoint) with the key, expected and found; every size
// is checked against sane limits, so that a loader can multiply them without overflow.
ModelConfig parse_model_config(std::string_view config_json);

// Reads DIR/config.json and DIR/generation_config.json.
ModelConfig load_model_config(const std::filesystem::path& directory);

// What the stored weights say better than config.json: the dtype, and for gemma3 whether there is
// an output layer of its own.
void adopt_stored(ModelConfig& config, const Checkpoint& checkpoint);

// After a load: a warning when the checkpoint holds weights that the architecture did not ask for.
void warn_of_unread(const ModelConfig& config, const Checkpoint& checkpoint);

}  // namespace mica

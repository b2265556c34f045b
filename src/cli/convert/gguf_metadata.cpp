#include "cli/convert/gguf_metadata.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/rope.h"

namespace mica {
namespace {

[[noreturn]] void refuse(const std::string& key, const std::string& expected,
                         const std::string& found) {
  throw Error(ErrorKind::kCheckpoint,
              "[convert] config.json: {}: llama.cpp knows {} for this architecture, found {}", key,
              expected, found);
}

class Keys {
 public:
  explicit Keys(std::string architecture) : architecture_(std::move(architecture)) {}
  void add(const char* key, GgufValue value) {
    keys_.emplace_back(architecture_ + "." + key, std::move(value));
  }
  void count(const char* key, int64_t value) { add(key, gguf_u32(static_cast<uint64_t>(value))); }
  GgufMetadata& list() { return keys_; }

 private:
  std::string architecture_;
  GgufMetadata keys_;
};

RopeTable rope_table(const ModelConfig& config) {
  return make_rope_table(config.rope, config.rope.theta, config.head_dim,
                         config.max_position_embeddings);
}

void check_rope(const ModelConfig& config, const GgufArchitecture& architecture) {
  const RopeConfig& rope = config.rope;
  if (rope.partial != 1) refuse("partial_rotary_factor", "1", fmt::format("{}", rope.partial));
  if (rope.interleaved && !architecture.rotates_neighbours)
    refuse("rope_traditional", "false", "true");
  const bool tables = architecture.rotates_neighbours;  // its graph takes factors from a tensor
  if (rope.type == "default" || rope.type == "linear" || (rope.type == "yarn" && rope.truncate))
    return;
  if (tables && (rope.type == "llama3" || rope.type == "longrope")) return;
  refuse("rope_scaling",
         tables ? "the types linear, llama3, yarn and longrope" : "the types linear and yarn",
         "'" + rope.type + "'");
}

void add_yarn(const RopeConfig& rope, Keys& keys) {
  if (rope.mscale != 1 || rope.mscale_all_dim != 0)
    refuse("rope_scaling", "mscale 1 and mscale_all_dim 0",
           fmt::format("{} and {}", rope.mscale, rope.mscale_all_dim));
  keys.add("rope.scaling.factor", gguf_f32(rope.factor));
  keys.add("rope.scaling.yarn_beta_fast", gguf_f32(rope.beta_fast));
  keys.add("rope.scaling.yarn_beta_slow", gguf_f32(rope.beta_slow));
}

void add_rope(const ModelConfig& config, const GgufArchitecture& architecture, Keys& keys) {
  check_rope(config, architecture);
  const RopeConfig& rope = config.rope;
  keys.count("rope.dimension_count", config.head_dim);
  keys.add("rope.freq_base", gguf_f32(rope.theta));
  if (rope.type == "default" || rope.type == "llama3") return;  // llama3 is all in its tensor
  keys.add("rope.scaling.type", gguf_string(rope.type));
  if (rope.type == "linear") return keys.add("rope.scaling.factor", gguf_f32(rope.factor));
  keys.count("rope.scaling.original_context_length", rope.original_max_position);
  if (rope.type == "yarn") return add_yarn(rope, keys);
  keys.add("rope.scaling.attn_factor", gguf_f32(rope_table(config).magnitude));
}

// Gemma 3: every `pattern`-th layer sees everything.
void add_windows(const ModelConfig& config, const GgufArchitecture& architecture, Keys& keys) {
  const std::vector<bool>& sliding = config.sliding_layers;
  const auto first = std::find(sliding.begin(), sliding.end(), false);
  if (std::none_of(sliding.begin(), sliding.end(), [](bool slides) { return slides; })) return;
  if (!architecture.gemma_norms) refuse("layer_types", "full attention", "sliding layers");
  const auto pattern = static_cast<size_t>(first - sliding.begin()) + 1;
  for (size_t i = 0; i < sliding.size(); ++i)
    if (sliding[i] == ((i + 1) % pattern == 0))
      refuse("layer_types", "one pattern all through", fmt::format("another one at layer {}", i));
  keys.count("attention.sliding_window", config.sliding_window);
  keys.count("attention.sliding_window_pattern", static_cast<int64_t>(pattern));
  keys.add("rope.freq_base_swa", gguf_f32(config.rope_local_theta));
}

void check_activation(const ModelConfig& config, const GgufArchitecture& architecture) {
  if (!architecture.gemma_norms && config.activation != Activation::kSilu)
    refuse("hidden_act", "silu", "another one");
}

// llama.cpp derives Gemma's factor on the scores from the shape; it can't be told.
void check_gemma_scale(const ModelConfig& config) {
  const int64_t known = config.num_hidden_layers == 62
                            ? config.hidden_size / config.num_attention_heads
                            : config.head_dim;
  if (config.query_pre_attn_scalar != static_cast<float>(known))
    refuse("query_pre_attn_scalar", std::to_string(known),
           fmt::format("{}", config.query_pre_attn_scalar));
}

void add_experts(const ModelConfig& config, Keys& keys) {
  if (config.num_experts == 0) return;
  if (!config.norm_topk_prob) refuse("norm_topk_prob", "true", "false");
  keys.count("expert_count", config.num_experts);
  keys.count("expert_used_count", config.num_experts_per_tok);
  keys.count("expert_feed_forward_length", config.moe_intermediate_size);
}

}  // namespace

GgufMetadata gguf_model_metadata(const ModelConfig& config, const GgufArchitecture& architecture,
                                 const std::string& model_name) {
  Keys keys(architecture.name);
  keys.list() = {{"general.architecture", gguf_string(architecture.name)},
                 {"general.type", gguf_string("model")},
                 {"general.name", gguf_string(model_name)},
                 {"general.quantization_version", gguf_u32(2)}};
  keys.count("vocab_size", config.vocab_size);
  keys.count("context_length", config.max_position_embeddings);
  keys.count("embedding_length", config.hidden_size);
  keys.count("block_count", config.num_hidden_layers);
  keys.count("feed_forward_length", config.intermediate_size);
  keys.count("attention.head_count", config.num_attention_heads);
  keys.count("attention.head_count_kv", config.num_key_value_heads);
  keys.count("attention.key_length", config.head_dim);
  keys.count("attention.value_length", config.head_dim);
  keys.add("attention.layer_norm_rms_epsilon", gguf_f32(config.rms_norm_eps));
  check_activation(config, architecture);
  add_rope(config, architecture, keys);
  add_windows(config, architecture, keys);
  add_experts(config, keys);
  if (architecture.gemma_norms) check_gemma_scale(config);
  return std::move(keys.list());
}

std::vector<std::pair<std::string, std::vector<float>>> gguf_rope_tensors(
    const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  if (rope.type != "llama3" && rope.type != "longrope") return {};
  RopeConfig plain = rope;
  plain.type = "default";
  std::vector<float> divisors =
      make_rope_table(plain, rope.theta, config.head_dim, config.max_position_embeddings)
          .inverse_frequencies;
  const std::vector<float> wanted = rope_table(config).inverse_frequencies;
  for (size_t i = 0; i < divisors.size(); ++i) divisors[i] /= wanted[i];
  if (rope.type == "llama3") return {{"rope_freqs.weight", divisors}};
  // Mica (as mlx-lm) takes the long factors at every length, llama.cpp by the context's size.
  return {{"rope_factors_long.weight", divisors}, {"rope_factors_short.weight", divisors}};
}

}  // namespace mica

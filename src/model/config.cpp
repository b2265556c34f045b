#include "model/config.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/json_reader.h"
#include "model/encoder_config.h"
#include "model/rope_config.h"

namespace mica {
namespace {

using nlohmann::json;

// Largest sizes that are believed. Their products (experts * intermediate * hidden * 8 bytes, the
// widest) stay below 2^63.
constexpr int64_t kMaxHidden = int64_t{1} << 20;
constexpr int64_t kMaxIntermediate = int64_t{1} << 22;
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxHeads = int64_t{1} << 14;
constexpr int64_t kMaxHeadDim = 8192;
constexpr int64_t kMaxVocab = int64_t{1} << 24;
constexpr int64_t kMaxPositions = int64_t{1} << 30;
constexpr int64_t kMaxExperts = int64_t{1} << 14;
constexpr size_t kMaxConfigBytes = size_t{64} << 20;

// Defaults of a family for the keys that its configs may leave out (mlx-lm, models/*.py; where the
// reference requires a key, transformers' default).
struct Family {
  const char* type;  // ModelConfig::model_type
  double rope_theta;
  bool theta_required;
  int64_t max_positions;
  bool tied;
};

constexpr Family kLlama = {"llama", 10000, false, 2048, true};
constexpr Family kMistral = {"mistral", 10000, false, 131072, true};
constexpr Family kQwen2 = {"qwen2", 1000000, false, 32768, true};
constexpr Family kQwen3 = {"qwen3", 0, true, 32768, false};
constexpr Family kQwen3Moe = {"qwen3_moe", 0, true, 32768, false};
constexpr Family kGemma3Text = {"gemma3_text", 1000000, false, 32768, true};
constexpr Family kGemma3 = {"gemma3", 1000000, false, 32768, true};

// model_type of config.json -> family; some names are other names of llama (mlx-lm,
// utils.MODEL_REMAPPING).
const std::map<std::string, Family, std::less<>>& families() {
  static const std::map<std::string, Family, std::less<>> table = {
      {"llama", kLlama},        {"mistral", kMistral},
      {"iquestcoder", kLlama},  {"xverse", kLlama},
      {"qwen2", kQwen2},        {"qwen3", kQwen3},
      {"qwen3_moe", kQwen3Moe}, {"gemma3_text", kGemma3Text},
      {"gemma3", kGemma3}};
  return table;
}

const Family& family_of(const JsonReader& root) {
  const std::string type = root.string("model_type");
  const auto found = families().find(type);
  if (found != families().end()) return found->second;
  std::string known;
  for (const auto& entry : families()) known += (known.empty() ? "" : ", ") + entry.first;
  root.fail("model_type", "one of " + known, brief(*root.find("model_type")));
}

bool is_gemma(const Family& family) {
  return std::string_view(family.type).substr(0, 6) == "gemma3";
}

void read_sizes(const JsonReader& fields, const Family& family, ModelConfig& config) {
  config.hidden_size = fields.integer("hidden_size", 1, kMaxHidden);
  config.num_hidden_layers = fields.integer("num_hidden_layers", 1, kMaxLayers);
  config.intermediate_size = fields.integer("intermediate_size", 1, kMaxIntermediate);
  config.num_attention_heads = fields.integer("num_attention_heads", 1, kMaxHeads);
  config.num_key_value_heads =
      fields.integer("num_key_value_heads", 1, kMaxHeads, config.num_attention_heads);
  config.vocab_size = fields.integer("vocab_size", 1, kMaxVocab);
  config.head_dim = fields.integer("head_dim", 0, kMaxHeadDim, 0);
  config.max_position_embeddings =
      fields.integer("max_position_embeddings", 1, kMaxPositions, family.max_positions);
  config.rms_norm_eps = static_cast<float>(fields.number("rms_norm_eps", 0, 1, 1e-6));
}

// As mlx-lm's gemma3_text.ModelArgs; the nested form of vision checkpoints takes the vocabulary
// from the outer object and has its own defaults for the heads (gemma3.ModelArgs).
void read_gemma_sizes(const JsonReader& root, const JsonReader& text, const Family& family,
                      ModelConfig& config) {
  const bool nested = &root.value() != &text.value();
  config.hidden_size = text.integer("hidden_size", 1, kMaxHidden, 1152);
  config.num_hidden_layers = text.integer("num_hidden_layers", 1, kMaxLayers, 26);
  config.intermediate_size = text.integer("intermediate_size", 1, kMaxIntermediate, 6912);
  config.num_attention_heads = text.integer("num_attention_heads", 1, kMaxHeads, nested ? 8 : 4);
  config.num_key_value_heads = text.integer("num_key_value_heads", 1, kMaxHeads, nested ? 4 : 1);
  config.head_dim = text.integer("head_dim", 1, kMaxHeadDim, 256);
  config.vocab_size =
      root.integer("vocab_size", 1, kMaxVocab,
                   text.integer("vocab_size", 1, kMaxVocab, nested ? 262208 : 262144));
  config.max_position_embeddings =
      text.integer("max_position_embeddings", 1, kMaxPositions, family.max_positions);
  config.rms_norm_eps = static_cast<float>(text.number("rms_norm_eps", 0, 1, 1e-6));
}

void check_heads(const JsonReader& fields, ModelConfig& config) {
  if (config.head_dim == 0) {
    if (config.hidden_size % config.num_attention_heads != 0)
      fields.fail(
          "num_attention_heads",
          fmt::format("a divisor of hidden_size {} (there is no head_dim)", config.hidden_size),
          std::to_string(config.num_attention_heads));
    config.head_dim = config.hidden_size / config.num_attention_heads;
  }
  if (config.head_dim % 2 != 0 || config.head_dim > kMaxHeadDim)
    fields.fail("head_dim", fmt::format("an even number up to {}", kMaxHeadDim),
                std::to_string(config.head_dim));
  if (config.num_attention_heads % config.num_key_value_heads != 0)
    fields.fail("num_key_value_heads",
                fmt::format("a divisor of num_attention_heads {}", config.num_attention_heads),
                std::to_string(config.num_key_value_heads));
}

Activation read_activation(const JsonReader& fields) {
  const std::string text = fields.string("hidden_act", "silu");
  if (text == "silu" || text == "swish") return Activation::kSilu;
  if (text == "gelu") return Activation::kGelu;
  if (text == "gelu_pytorch_tanh" || text == "gelu_new" || text == "gelu_fast")
    return Activation::kGeluTanh;
  fields.fail("hidden_act", "silu, gelu or gelu_pytorch_tanh", brief(*fields.find("hidden_act")));
}

// `layer_types`: one name a layer.
std::vector<bool> read_layer_types(const JsonReader& fields, int64_t layers) {
  std::vector<bool> sliding;
  const json* types = fields.find("layer_types");
  if (!types) return sliding;
  if (!types->is_array() || types->size() != static_cast<size_t>(layers))
    fields.fail("layer_types", fmt::format("a list of {} names, one a layer", layers),
                brief(*types));
  for (const json& type : *types) {
    if (type != "full_attention" && type != "sliding_attention")
      fields.fail("layer_types", "full_attention or sliding_attention", brief(type));
    sliding.push_back(type == "sliding_attention");
  }
  return sliding;
}

// Llama slides only where layer_types says so: the `sliding_window` of old Mistral configs alone
// changes nothing in the reference, nor do use_sliding_window and max_window_layers of Qwen.
void read_llama_windows(const JsonReader& fields, ModelConfig& config) {
  config.sliding_layers = read_layer_types(fields, config.num_hidden_layers);
  if (std::none_of(config.sliding_layers.begin(), config.sliding_layers.end(),
                   [](bool slides) { return slides; })) {
    config.sliding_layers.clear();
    return;
  }
  config.sliding_window = fields.integer("sliding_window", 1, kMaxPositions);
}

// Every sliding_window_pattern-th layer is global. The reference knows that key alone; newer
// exports name the layers instead.
void read_gemma_windows(const JsonReader& fields, ModelConfig& config) {
  config.sliding_window = fields.integer("sliding_window", 1, kMaxPositions, 512);
  const char* key = "sliding_window_pattern";
  if (!fields.has(key)) {
    config.sliding_layers = read_layer_types(fields, config.num_hidden_layers);
    if (!config.sliding_layers.empty()) return;
    key = "_sliding_window_pattern";
  }
  const int64_t pattern = fields.integer(key, 1, kMaxLayers, 6);
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer)
    config.sliding_layers.push_back((layer + 1) % pattern != 0);
}

void read_experts(const JsonReader& fields, ModelConfig& config) {
  config.num_experts = fields.integer("num_experts", 0, kMaxExperts);
  config.decoder_sparse_step = fields.integer("decoder_sparse_step", 1, kMaxLayers, 1);
  config.mlp_only_layers = fields.integers("mlp_only_layers", 0, kMaxLayers);
  config.norm_topk_prob = fields.boolean("norm_topk_prob", false);
  if (config.num_experts == 0) return;
  config.num_experts_per_tok = fields.integer("num_experts_per_tok", 1, config.num_experts);
  config.moe_intermediate_size = fields.integer("moe_intermediate_size", 1, kMaxIntermediate);
}

DType read_dtype(const JsonReader& root, const JsonReader& text) {
  for (const JsonReader* fields : {&root, &text})
    for (const char* key : {"dtype", "torch_dtype"}) {
      std::string name = fields->string(key, "");
      if (name.rfind("torch.", 0) == 0) name = name.substr(6);
      if (name == "bfloat16") return DType::kBF16;
      if (name == "float16") return DType::kF16;
      if (name == "float32") return DType::kF32;
    }
  return DType::kBF16;
}

// One id or a list of ids.
std::vector<int32_t> read_eos(const JsonReader& fields) {
  constexpr const char* kKey = "eos_token_id";
  std::vector<int32_t> ids;
  const json* value = fields.find(kKey);
  if (!value) return ids;
  if (!value->is_array()) return {static_cast<int32_t>(fields.integer(kKey, 0, INT32_MAX))};
  for (const int64_t id : fields.integers(kKey, 0, INT32_MAX))
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(static_cast<int32_t>(id));
  return ids;
}

void read_llama_like(const JsonReader& root, const Family& family, ModelConfig& config) {
  read_sizes(root, family, config);
  check_heads(root, config);
  const std::string_view type = family.type;
  config.attention_bias = type == "qwen2" || root.boolean("attention_bias", false);
  config.mlp_bias = root.boolean("mlp_bias", false);
  config.activation = read_activation(root);
  if (type == "llama" || type == "mistral") read_llama_windows(root, config);
  if (type == "qwen3_moe") read_experts(root, config);
  config.rope = read_rope_config(
      root, config, family.theta_required ? std::nullopt : std::optional(family.rope_theta));
}

// The soft caps that transformers knows for gemma3 are null in every release and not applied by
// the reference: they are not read.
void read_gemma(const JsonReader& root, const JsonReader& text, const Family& family,
                ModelConfig& config) {
  read_gemma_sizes(root, text, family, config);
  check_heads(text, config);
  config.activation = Activation::kGeluTanh;  // whatever hidden_act says (gemma3_text.MLP)
  config.query_pre_attn_scalar =
      static_cast<float>(text.number("query_pre_attn_scalar", 1e-6, 1e9, 256));
  read_gemma_windows(text, config);
  config.rope = read_rope_config(text, config, family.rope_theta);
  config.rope_local_theta = read_local_theta(text);
}

}  // namespace

ModelConfig parse_model_config(std::string_view config_json) {
  const json parsed = parse_json_object(config_json, "config.json");
  const JsonReader root(parsed, "config.json");
  if (is_encoder_type(root.string("model_type"))) {
    ModelConfig encoder = read_encoder_config(root);
    encoder.dtype = read_dtype(root, root);
    return encoder;
  }
  const Family& family = family_of(root);
  ModelConfig config;
  config.model_type = family.type;
  const std::optional<JsonReader> nested = root.object("text_config");
  const bool vision = std::string_view(family.type) == "gemma3";
  if (vision && !nested) root.fail("text_config", "an object", "nothing");
  const JsonReader& text = vision ? *nested : root;
  if (vision) config.weight_prefix = "language_model.";
  if (is_gemma(family))
    read_gemma(root, text, family, config);
  else
    read_llama_like(root, family, config);
  config.tie_word_embeddings =
      root.boolean("tie_word_embeddings", text.boolean("tie_word_embeddings", family.tied));
  config.dtype = read_dtype(root, text);
  config.eos_token_ids = read_eos(root.has("eos_token_id") ? root : text);
  const JsonReader& bos = root.has("bos_token_id") ? root : text;
  config.bos_token_id = static_cast<int32_t>(bos.integer("bos_token_id", -1, INT32_MAX, -1));
  return config;
}

ModelConfig load_model_config(const std::filesystem::path& directory) {
  ModelConfig config =
      parse_model_config(read_text_file(directory / "config.json", kMaxConfigBytes));
  const std::filesystem::path generation = directory / "generation_config.json";
  if (!std::filesystem::exists(generation)) return config;
  const std::string text = read_text_file(generation, kMaxConfigBytes);
  if (!json::accept(text)) {
    // The reference goes on without the file too.
    log_warning("[config] {}: expected JSON; its eos_token_id is not used", generation.string());
    return config;
  }
  const json parsed = parse_json_object(text, "generation_config.json");
  std::vector<int32_t> ids = read_eos(JsonReader(parsed, "generation_config.json"));
  if (!ids.empty() && ids != std::vector<int32_t>{0}) config.eos_token_ids = std::move(ids);
  return config;
}

}  // namespace mica

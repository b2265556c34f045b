// config.json of any engine's checkpoint: shapes of keys and values, experts, quantization.
#include <algorithm>

#include "base/error.h"
#include "bench/plan/model_facts.h"
#include "checkpoint/json_reader.h"

namespace mica {
namespace {

using nlohmann::json;

constexpr int64_t kMost = 1'000'000'000;  // of any count

// A key of the text model: in the nested object where there is one, else at the top.
class Config {
 public:
  explicit Config(const json& root) : root_(root, "config.json") {
    for (const char* key : {"text_config", "llm_config", "language_config"})
      if (!text_) text_ = root_.object(key);
  }
  const JsonReader& root() const { return root_; }

  const json* find(const char* key) const {
    const json* value = text_ ? text_->find(key) : nullptr;
    return value ? value : root_.find(key);
  }
  // The first of the keys that is there.
  int64_t integer(std::initializer_list<const char*> keys, int64_t otherwise = 0) const {
    for (const char* key : keys) {
      if (text_ && text_->has(key)) return text_->integer(key, 0, kMost);
      if (root_.has(key)) return root_.integer(key, 0, kMost);
    }
    return otherwise;
  }
  std::string string(const char* key) const {
    const json* value = find(key);
    return value && value->is_string() ? value->get<std::string>() : "";
  }
  bool is_false(const char* key) const {
    const json* value = find(key);
    return value && value->is_boolean() && !value->get<bool>();
  }

 private:
  JsonReader root_;
  std::optional<JsonReader> text_;
};

struct LayerCounts {
  int64_t full = 0, sliding = 0, recurrent = 0;
};

// `list` names the kind of each layer.
LayerCounts count_named(const json& list) {
  LayerCounts counts;
  for (const json& kind : list) {
    const std::string name = kind.is_string() ? kind.get<std::string>() : "";
    if (name.find("sliding") != name.npos || name.find("chunked") != name.npos)
      ++counts.sliding;
    else if (name.find("linear") != name.npos || name.find("mamba") != name.npos ||
             name.find("recurrent") != name.npos || name.find("conv") != name.npos)
      ++counts.recurrent;
    else
      ++counts.full;
  }
  return counts;
}

LayerCounts count_layers(const Config& config, int64_t layers) {
  if (const json* types = config.find("layer_types"); types && types->is_array() && !types->empty())
    return count_named(*types);
  const std::string pattern = config.string("hybrid_override_pattern");
  if (!pattern.empty()) {
    const int64_t full = std::count(pattern.begin(), pattern.end(), '*');
    return {full, 0, layers - std::min(full, layers)};
  }
  if (const int64_t every = config.integer({"full_attention_interval"}); every > 1)
    return {layers / every, 0, layers - layers / every};
  const bool slides =
      config.integer({"sliding_window"}) > 0 && !config.is_false("use_sliding_window");
  if (!slides) return {layers, 0, 0};
  int64_t every = config.integer({"sliding_window_pattern", "_sliding_window_pattern"});
  if (every == 0 && config.string("model_type").starts_with("gemma3")) every = 6;
  if (every == 0 && config.string("model_type").starts_with("gemma2")) every = 2;
  if (every > 1) return {layers / every, layers - layers / every, 0};
  if (config.string("model_type") == "mistral") return {0, layers, 0};
  return {layers, 0, 0};  // it has the key but no layer that uses it
}

// Elements that a layer of attention keeps of a token, keys and values together.
int64_t kv_elements(const Config& config, KvShape& kv) {
  if (const int64_t rank = config.integer({"kv_lora_rank"}); rank > 0) {
    kv.heads = 1;
    return rank + config.integer({"qk_rope_head_dim"});
  }
  const int64_t heads = config.integer({"num_attention_heads", "n_head", "num_heads"});
  kv.heads =
      config.integer({"num_key_value_heads", "num_kv_heads", "multi_query_group_num"}, heads);
  const int64_t hidden = config.integer({"hidden_size", "n_embd", "d_model"});
  const int64_t dim = config.integer({"head_dim", "kv_channels"}, heads > 0 ? hidden / heads : 0);
  return std::min<int64_t>(kv.heads, 100'000) * std::min<int64_t>(dim, 100'000) * 2;
}

// Of a sequence in recurrent layers: one f32 matrix a head.
int64_t state_bytes(const Config& config) {
  const int64_t heads = config.integer({"linear_num_value_heads", "mamba_num_heads"});
  const int64_t rows = config.integer({"linear_key_head_dim", "mamba_head_dim"});
  const int64_t columns = config.integer({"linear_value_head_dim", "ssm_state_size"});
  const auto limited = [](int64_t n) { return std::min<int64_t>(n, 10'000); };
  return limited(heads) * limited(rows) * limited(columns) * 4;
}

void read_kv(const Config& config, ModelFacts& facts) {
  const LayerCounts counts = count_layers(config, facts.layers);
  const auto limited = [](int64_t n) { return std::min<int64_t>(std::max<int64_t>(n, 0), 10'000); };
  const int64_t elements = kv_elements(config, facts.kv);
  facts.kv.full = limited(counts.full) * elements;
  facts.kv.sliding = limited(counts.sliding) * elements;
  facts.kv.window = config.integer({"sliding_window", "attention_chunk_size"});
  facts.kv.state_bytes = limited(counts.recurrent) * state_bytes(config);
  if (counts.recurrent > 0 && facts.kv.state_bytes == 0)
    facts.notes.push_back("the size of its recurrent states is not known; they are left out");
}

// Positions that a scaled RoPE reaches; 0 = none is noted.
int64_t scaled_context(const Config& config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const json* value = config.find(key);
    if (!value || !value->is_object()) continue;
    const JsonReader of(*value, std::string("config.json: ") + key);
    const int64_t original = of.integer("original_max_position_embeddings", 0, 1 << 30, 0);
    const double factor = of.number("factor", 0, 1e6, 1);
    return static_cast<int64_t>(static_cast<double>(original) * factor);
  }
  return 0;
}

struct Scheme {
  std::string name, text;
};

Scheme mlx_scheme(const JsonReader& of) {
  const std::string mode = of.string("mode", "affine");
  const int64_t bits = of.integer("bits", 1, 64, 0),
                group = of.integer("group_size", 1, 1 << 20, 0);
  return {mode, fmt::format("{} {} bits, groups of {}", mode, bits, group)};
}

Scheme compressed_scheme(const JsonReader& of) {
  const std::string format = of.string("format", "");
  int64_t bits = 4;
  std::string strategy;
  if (const auto groups = of.object("config_groups"))
    for (const auto& [name, group] : groups->value().items()) {
      if (!group.is_object()) continue;
      const JsonReader reader(group, groups->place());
      const auto weights = reader.object("weights");
      if (!weights) continue;
      bits = weights->integer("num_bits", 1, 64, bits);
      strategy = weights->string("strategy", "");
      break;
    }
  const std::string text = "compressed-tensors " + format;
  if (format.starts_with("nvfp4")) return {"nvfp4", text};
  if (format.starts_with("mxfp4")) return {"mxfp4", text};
  if (format.starts_with("float")) return {strategy == "block" ? "fp8-block" : "fp8", text};
  if (format.starts_with("int")) return {"int8", text};
  return {bits == 8 ? "int8" : "int4", fmt::format("{}, {} bits", text, bits)};
}

Scheme foreign_scheme(const JsonReader& of) {
  const std::string method = of.string("quant_method", of.string("producer", ""));
  const std::string algorithm = of.string("quant_algo", "");
  if (!algorithm.empty()) {  // of NVIDIA's Model Optimizer
    if (algorithm.find("NVFP4") != algorithm.npos) return {"nvfp4", "ModelOpt " + algorithm};
    if (algorithm.find("FP8") != algorithm.npos)
      return {algorithm.find("PB") != algorithm.npos ? "fp8-block" : "fp8",
              "ModelOpt " + algorithm};
    if (algorithm.find("AWQ") != algorithm.npos) return {"awq", "ModelOpt " + algorithm};
    return {"", "ModelOpt " + algorithm};
  }
  if (method == "compressed-tensors") return compressed_scheme(of);
  if (method == "fp8" || method == "fbgemm_fp8")
    return of.has("weight_block_size") ? Scheme{"fp8-block", "FP8, scales of blocks"}
                                       : Scheme{"fp8", "FP8"};
  if (method == "awq" || method == "gptq") {
    const int64_t bits = of.integer("bits", 1, 64, of.integer("w_bit", 1, 64, 4));
    return {method, fmt::format("{} {} bits", method, bits)};
  }
  if (method == "exl3") return {"exl3", fmt::format("EXL3 {} bits", of.number("bits", 0, 64, 0))};
  if (method == "mxfp4" || method == "bitsandbytes") return {method, method};
  return {"", method};
}

void read_quantization(const Config& config, ModelFacts& facts) {
  Scheme scheme;
  for (const char* key : {"quantization", "quantization_config"}) {
    const json* value = config.find(key);
    if (!value || !value->is_object()) continue;
    const JsonReader of(*value, std::string("config.json: ") + key);
    const bool mlx = !of.has("quant_method") && !of.has("quant_algo") && of.has("group_size");
    scheme = mlx ? mlx_scheme(of) : foreign_scheme(of);
    if (!scheme.text.empty()) break;
  }
  if (scheme.text.empty()) return;
  facts.quantization = scheme.name;
  facts.quantization_text = scheme.text;
}

}  // namespace

void read_model_config(const std::string& config_json, ModelFacts& facts) {
  const json parsed = parse_json_object(config_json, "config.json");
  const Config config(parsed);
  facts.architecture = config.root().string("model_type", "");
  facts.vision = config.root().has("vision_config");
  facts.context = config.integer({"max_position_embeddings", "n_positions", "max_sequence_length",
                                  "max_seq_len", "seq_length", "model_max_length"});
  facts.context = std::max(facts.context, scaled_context(config));
  facts.attention_heads = config.integer({"num_attention_heads", "n_head", "num_heads"});
  facts.layers = config.integer({"num_hidden_layers", "n_layer", "num_layers", "n_layers"});
  facts.experts = config.integer({"num_experts", "num_local_experts", "n_routed_experts"});
  facts.experts_used =
      config.integer({"num_experts_per_tok", "num_experts_per_token", "top_k_experts"});
  read_kv(config, facts);
  read_quantization(config, facts);
}

}  // namespace mica

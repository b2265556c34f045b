#include "checkpoint/gguf/gguf_names.h"

#include <utility>

namespace mica {
namespace {

constexpr GgufArchitecture kArchitectures[] = {
    {"llama", "llama", true, false},         {"mistral", "llama", true, false},
    {"qwen2", "qwen2", false, false},        {"qwen3", "qwen3", false, false},
    {"qwen3_moe", "qwen3moe", false, false}, {"gemma3_text", "gemma3", false, true},
    {"gemma3", "gemma3", false, true},
};

using Name = std::pair<std::string_view, const char*>;

constexpr Name kOutside[] = {
    {"model.embed_tokens", "token_embd"}, {"model.norm", "output_norm"}, {"lm_head", "output"}};

constexpr Name kNorms[] = {{"input_layernorm", "attn_norm"},
                           {"post_attention_layernorm", "ffn_norm"}};

constexpr Name kGemmaNorms[] = {{"input_layernorm", "attn_norm"},
                                {"post_attention_layernorm", "post_attention_norm"},
                                {"pre_feedforward_layernorm", "ffn_norm"},
                                {"post_feedforward_layernorm", "post_ffw_norm"}};

constexpr Name kLayer[] = {{"self_attn.q_proj", "attn_q"},
                           {"self_attn.k_proj", "attn_k"},
                           {"self_attn.v_proj", "attn_v"},
                           {"self_attn.o_proj", "attn_output"},
                           {"self_attn.q_norm", "attn_q_norm"},
                           {"self_attn.k_norm", "attn_k_norm"},
                           {"mlp.gate_proj", "ffn_gate"},
                           {"mlp.up_proj", "ffn_up"},
                           {"mlp.down_proj", "ffn_down"},
                           {"mlp.gate", "ffn_gate_inp"},
                           {"mlp.switch_mlp.gate_proj", "ffn_gate_exps"},
                           {"mlp.switch_mlp.up_proj", "ffn_up_exps"},
                           {"mlp.switch_mlp.down_proj", "ffn_down_exps"}};

template <size_t N>
const char* look_up(const Name (&names)[N], std::string_view key) {
  for (const auto& [mlx, gguf] : names)
    if (mlx == key) return gguf;
  return nullptr;
}

}  // namespace

const GgufArchitecture* find_gguf_architecture(std::string_view model_type) {
  for (const GgufArchitecture& architecture : kArchitectures)
    if (model_type == architecture.model_type) return &architecture;
  return nullptr;
}

std::vector<std::string> gguf_model_types() {
  std::vector<std::string> types;
  for (const GgufArchitecture& architecture : kArchitectures)
    types.emplace_back(architecture.model_type);
  return types;
}

std::optional<std::string> gguf_weight_name(const GgufArchitecture& architecture,
                                            std::string_view path) {
  if (const char* name = look_up(kOutside, path)) return name;
  constexpr std::string_view kLayers = "model.layers.";
  if (path.substr(0, kLayers.size()) != kLayers) return std::nullopt;
  path.remove_prefix(kLayers.size());
  const size_t dot = path.find('.');
  if (dot == path.npos) return std::nullopt;
  const std::string_view rest = path.substr(dot + 1);
  const char* name = look_up(kLayer, rest);
  if (!name) name = architecture.gemma_norms ? look_up(kGemmaNorms, rest) : look_up(kNorms, rest);
  if (!name) return std::nullopt;
  return "blk." + std::string(path.substr(0, dot)) + "." + name;
}

}  // namespace mica

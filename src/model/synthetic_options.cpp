#include "model/synthetic_options.h"

namespace mica {

SyntheticOptions synthetic_options(const ModelConfig& config) {
  SyntheticOptions options;
  options.dtype = config.dtype;
  const std::string& type = config.model_type;
  if (config.attention_bias) {
    options.biased = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
    if (type == "llama" || type == "mistral") options.biased.push_back("self_attn.o_proj");
  }
  if (config.mlp_bias)
    for (const char* name : {"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"})
      options.biased.emplace_back(name);
  if (!config.tie_word_embeddings) options.present.emplace_back("lm_head");
  const bool gemma = type.rfind("gemma3", 0) == 0;
  if (gemma) options.norm = 0;  // stored without the 1 that the model adds
  if (gemma || type.rfind("qwen3", 0) == 0) {
    options.present.emplace_back("self_attn.q_norm");
    options.present.emplace_back("self_attn.k_norm");
  }
  return options;
}

}  // namespace mica

// llama and mistral: the plain decoder. Touvron et al. 2023; Jiang et al. 2023.
#include "model/decoder.h"
#include "model/registry.h"

namespace mica {

std::unique_ptr<Model> load_llama(const ModelConfig& config, WeightSource& weights,
                                  Backend& backend) {
  const bool bias = config.attention_bias;
  return load_decoder(
      config, weights, backend,
      {.attention = {.qkv_bias = bias, .output_bias = bias}, .mlp_bias = config.mlp_bias});
}

}  // namespace mica

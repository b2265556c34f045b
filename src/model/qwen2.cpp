// qwen2: biases on q, k and v. Yang et al. 2024.
#include "model/decoder.h"
#include "model/registry.h"

namespace mica {

std::unique_ptr<Model> load_qwen2(const ModelConfig& config, WeightSource& weights,
                                  Backend& backend) {
  return load_decoder(config, weights, backend, {.attention = {.qkv_bias = true}});
}

}  // namespace mica

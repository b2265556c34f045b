// qwen3 and qwen3_moe: RMS norm of each query and key head; experts where the config says so.
// Yang et al. 2025.
#include "model/decoder.h"
#include "model/registry.h"

namespace mica {

std::unique_ptr<Model> load_qwen3(const ModelConfig& config, WeightSource& weights,
                                  Backend& backend) {
  return load_decoder(config, weights, backend, {.attention = {.qk_norm = true}});
}

}  // namespace mica

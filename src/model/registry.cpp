#include "model/registry.h"

#include <fmt/ranges.h>

namespace mica {
namespace {

struct Entry {
  const char* model_type;
  ModelLoader load;
};

constexpr Entry kRegistry[] = {
    {"llama", load_llama},      {"mistral", load_llama},   {"qwen2", load_qwen2},
    {"qwen3", load_qwen3},      {"qwen3_moe", load_qwen3}, {"gemma3_text", load_gemma3},
    {"gemma3", load_gemma3},    {"bert", load_bert},       {"roberta", load_bert},
    {"xlm-roberta", load_bert}, {"camembert", load_bert},
};

}  // namespace

std::vector<std::string> known_model_types() {
  std::vector<std::string> types;
  for (const Entry& entry : kRegistry) types.emplace_back(entry.model_type);
  return types;
}

Tensor Model::hidden(const Batch&, KvCache&, Arena&) {
  throw Error(ErrorKind::kUsage, "[model] model type '{}' gives no embeddings in this version",
              config_.model_type);
}

std::unique_ptr<Model> load_model(const ModelConfig& config, WeightSource& weights,
                                  Backend& backend) {
  for (const Entry& entry : kRegistry)
    if (config.model_type == entry.model_type) return entry.load(config, weights, backend);
  throw Error(ErrorKind::kCheckpoint, "[model] model_type: expected one of {}, found '{}'",
              fmt::join(known_model_types(), ", "), config.model_type);
}

}  // namespace mica

// Where config.json and the stored weights meet.
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "model/config.h"
#include "model/encoder_config.h"

namespace mica {
namespace {

// Heads of tasks, and tables of numbers in order.
bool is_beside_encoder(const std::string& name) {
  for (const char* part : {"pooler.", "cls.", "lm_head.", "classifier.", "position_ids"})
    if (name.find(part) != std::string::npos) return true;
  return false;
}

}  // namespace

void adopt_stored(ModelConfig& config, const Checkpoint& checkpoint) {
  config.dtype = checkpoint.dtype();
  // mlx-lm, gemma3_text.Model.sanitize: the key of config.json is not asked.
  if (config.model_type.rfind("gemma3", 0) == 0)
    config.tie_word_embeddings = !checkpoint.has("lm_head");
}

void warn_of_unread(const ModelConfig& config, const Checkpoint& checkpoint) {
  std::string shown;
  size_t count = 0;
  for (const std::string& name : checkpoint.unread()) {
    if (is_encoder_type(config.model_type) && is_beside_encoder(name)) continue;
    if (config.tie_word_embeddings && name.rfind("lm_head.", 0) == 0) continue;
    if (++count <= 3) shown += (shown.empty() ? "" : ", ") + name;
  }
  if (count > 0)
    log_warning("[checkpoint] {}: {} tensors are not used by model type '{}': {}{}",
                checkpoint.directory().string(), count, config.model_type, shown,
                count > 3 ? ", …" : "");
}

}  // namespace mica

// A loaded model: one readable forward pass per architecture over a ragged batch.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/weights.h"
#include "model/config.h"
#include "ops/arena.h"
#include "ops/backend.h"
#include "ops/batch.h"

namespace mica {

class Model {
 public:
  virtual ~Model() = default;
  const ModelConfig& config() const { return config_; }

  // What each caching layer needs, in the order of KvCache::layers.
  virtual std::vector<CacheSpec> cache_layers() const = 0;

  // Bytes of activations that `forward` takes for up to `tokens` tokens and `rows` logit rows.
  virtual size_t arena_bytes(int64_t tokens, int64_t rows) const = 0;

  // Appends the batch to the cache and returns the logits f32 [R, V] of batch.logit_rows, valid
  // until the arena is reset.
  virtual Tensor forward(const Batch& batch, KvCache& cache, Arena& arena) = 0;

  // Whether it continues texts. An encoder does not: it has `hidden` alone, for batches of whole
  // sequences, and keeps nothing in the cache.
  virtual bool generates() const { return true; }

  // As `forward`, but the final hidden states [R, D] of batch.logit_rows behind the last norm.
  // Takes no more of the arena than arena_bytes(tokens, 0) and two such tensors. Throws
  // Error(kUsage) when the architecture has none to give.
  virtual Tensor hidden(const Batch& batch, KvCache& cache, Arena& arena);

  // Whether `forward` does the same for every batch of one shape, so that it can be recorded.
  virtual bool recordable() const { return true; }

  // Bytes of weights that a decode step of `tokens` sequences reads: of the experts those that such
  // many tokens choose, evenly, on average.
  virtual size_t bytes_per_step(int64_t tokens) const = 0;
  // Weights that take part in one token's products (2 operations each; experts: the chosen ones).
  virtual int64_t weights_per_token() const = 0;
  // Resident bytes of all prepared weights.
  virtual size_t weight_bytes() const = 0;
  // The linear layers by their path in the checkpoint.
  const std::map<std::string, const PreparedLinear*>& modules() const { return modules_; }

 protected:
  explicit Model(ModelConfig config) : config_(std::move(config)) {}
  ModelConfig config_;
  std::map<std::string, const PreparedLinear*> modules_;
};

// Looks up config.model_type in the registry (model/registry.cpp) and loads. Throws
// Error(kCheckpoint) with the known types when there is none.
std::unique_ptr<Model> load_model(const ModelConfig& config, WeightSource& weights,
                                  Backend& backend);

}  // namespace mica

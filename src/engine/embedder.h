// Vectors of texts: the pooled hidden states of the served model.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/side_work.h"
#include "model/pooling.h"

namespace mica {

struct EmbedderOptions {
  PoolingConfig pooling;
  // Tokens of one piece, where EngineOptions::max_step_ms allows them. A text of an encoder, which
  // sees all of it at once, may be longer.
  int32_t piece_tokens = 512;
  const AdapterSet* adapters = nullptr;  // the engine's; it outlives the embedder
};

class Embedder {
 public:
  // All of them outlive this.
  Embedder(Backend& backend, Model& model, Engine& engine, const EmbedderOptions& options);

  int32_t max_tokens() const { return max_tokens_; }  // of one text
  int64_t size() const { return model_.config().hidden_size; }
  const PoolingConfig& pooling() const { return options_.pooling; }

  // One vector for each sequence of token ids; the same bits whatever the others are where the
  // device promises that for a step. Thread-safe. `stop` is asked before each piece; once it says
  // true, what is left is not computed and the result is empty. `adapter`: as in Request. Throws
  // Error(kUsage) for an empty or too long sequence, for a token outside the vocabulary and an
  // adapter that is gone, Error(kDevice) when the engine has failed.
  std::vector<std::vector<float>> embed(std::span<const std::vector<int32_t>> sequences,
                                        const std::function<bool()>& stop = {},
                                        int64_t adapter = 0);

 private:
  struct Pooled;
  bool embed_together(std::span<Pooled> pooled, const std::function<bool()>& stop);
  void run(std::span<const Slice> slices, std::span<Pooled> pooled);
  std::vector<int32_t> wanted_rows(std::span<const Slice> slices) const;

  Backend& backend_;
  Model& model_;
  const EmbedderOptions options_;
  SideWork work_;
  const int32_t max_tokens_;
};

}  // namespace mica

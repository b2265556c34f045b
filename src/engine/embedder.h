// Vectors of texts: the pooled hidden states of the served model. Its work runs on the engine's
// thread in pieces, one between two steps, with memory of its own; the prefix cache is not touched.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "engine/batch_builder.h"
#include "engine/engine.h"
#include "engine/kv_memory.h"
#include "model/model.h"
#include "model/pooling.h"
#include "ops/arena.h"

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
  // All of them outlive this. Memory is taken when the first text comes, and grows with the
  // longest; on a device with memory of its own it goes back when nobody embeds any more, as the
  // engine's cache has taken nearly all of it.
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
  class Use;
  void check(std::span<const std::vector<int32_t>> sequences) const;
  void check_adapter(int64_t adapter) const;  // within Engine::call
  int32_t piece_tokens() const;
  bool embed_together(std::span<Pooled> pooled, const std::function<bool()>& stop);
  void run(std::span<const Slice> slices, std::span<Pooled> pooled);
  void reserve(int32_t tokens, int32_t blocks);
  void give_back();
  std::vector<int32_t> wanted_rows(std::span<const Slice> slices) const;

  Backend& backend_;
  Model& model_;
  Engine& engine_;
  const EmbedderOptions options_;
  const int32_t max_tokens_;
  const bool own_memory_;  // the device's

  std::atomic<int32_t> users_{0};
  std::mutex turn_;  // held while a group of texts has its keys in memory_
  // Touched within Engine::call only:
  int32_t tokens_ = 0, blocks_ = 0;  // that the rest is large enough for
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<KvMemory> memory_;
  std::unique_ptr<BatchBuilder> builder_;
};

}  // namespace mica

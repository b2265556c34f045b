// Work on a model beside the requests of its engine: embeddings, scores of prompts. It runs on the
// engine's thread in pieces, one between two steps, with memory of its own; the prefix cache is not
// touched.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "engine/batch_builder.h"
#include "engine/engine.h"
#include "engine/kv_memory.h"
#include "model/model.h"
#include "ops/arena.h"

namespace mica {

struct SideWorkOptions {
  std::string name;            // in messages
  int32_t piece_tokens = 512;  // where EngineOptions::max_step_ms allows them
  int32_t sequences = 1;       // of a piece, at most
  std::vector<CacheSpec> cache_layers;
  // Bytes that the activations of a piece of so many tokens take, without those of adapters.
  std::function<size_t(int32_t tokens)> activation_bytes;
  const AdapterSet* adapters = nullptr;  // the engine's; it outlives the work
};

class SideWork {
 public:
  static constexpr int32_t kBlockSize = 32;  // tokens
  static int32_t blocks_of(int32_t tokens) { return (tokens + kBlockSize - 1) / kBlockSize; }

  // All of them outlive this. Memory is taken when it is first needed, and grows; on a device with
  // memory of its own it goes back when nobody works any more, as the engine's cache has taken
  // nearly all of it.
  SideWork(Backend& backend, Model& model, Engine& engine, SideWorkOptions options);

  // Held by everybody who works, from the first piece to the last.
  class Use {
   public:
    explicit Use(SideWork& work) : work_(work) { ++work_.users_; }
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    SideWork& work_;
  };

  // Held while sequences have their keys in the memory.
  std::unique_lock<std::mutex> turn() { return std::unique_lock(turn_); }

  int32_t max_tokens() const { return max_tokens_; }  // of one sequence
  // Of the next piece: the engine's bound on the time of steps holds for it too.
  int32_t piece_tokens() const;
  // Throws Error(kUsage) for a sequence without tokens, with more than `most`, and for a token
  // outside the vocabulary.
  void check(std::span<const std::vector<int32_t>> sequences, int32_t most) const;

  // Runs `piece` on the engine's thread, with memory for so many tokens in a piece and for the keys
  // of so many blocks. Throws Error(kUsage) when the adapter is gone, Error(kDevice) when the
  // engine has failed.
  void run(int32_t tokens, int32_t blocks, int64_t adapter, const std::function<void()>& piece);
  // Within a piece: empties the arena. The batch is valid until the next one.
  Batch begin(std::span<const Slice> slices);
  Arena& arena() { return *arena_; }
  KvCache& cache() { return memory_->cache(); }

 private:
  void check_adapter(int64_t adapter) const;
  void reserve(int32_t tokens, int32_t blocks);
  void give_back();

  Backend& backend_;
  Engine& engine_;
  const SideWorkOptions options_;
  const int32_t vocabulary_;
  const int32_t max_tokens_;
  const bool own_memory_;  // the device's

  std::atomic<int32_t> users_{0};
  std::mutex turn_;
  // Touched within Engine::call only:
  int32_t tokens_ = 0, blocks_ = 0;  // that the rest is large enough for
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<KvMemory> memory_;
  std::unique_ptr<BatchBuilder> builder_;
};

}  // namespace mica

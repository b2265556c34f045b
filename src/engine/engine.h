// The engine: one thread that schedules, launches and samples; no locks in its hot path.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/request.h"
#include "model/model.h"
#include "ops/kv_quantization.h"

namespace mica {

class AdapterSet;
// Guessing tokens that the model then checks in one step (docs/speculation.md). Answers stay what
// they are without.
struct SpeculationOptions {
  Model* draft_model = nullptr;  // of the same backend and tokenizer; outlives the engine
  bool ngrams = false;       // prompt lookup; with a draft model, that guesses where it finds none
  int32_t draft_tokens = 3;  // guesses of a sequence in a step (mlx-lm: --num-draft-tokens)
  int32_t ngram_least = 2, ngram_most = 4;  // tokens that must have come before, that are compared

  bool enabled() const { return draft_model != nullptr || ngrams; }
};

struct EngineOptions {
  int32_t block_size = 32;  // tokens per KV block
  size_t kv_bytes = 0;      // memory for the KV cache; 0 = a share of what is free
  KvQuantOptions kv_quant;  // keys and values in 8 or 4 bits
  int32_t max_context = 0;  // prompt + answer of one request; 0 = the model's, or what fits
  int32_t max_batch_sequences = 32;   // sequences in one step (mlx-lm: --decode-concurrency)
  int32_t prefill_step_tokens = 512;  // prompt tokens of one step (mlx-lm: --prefill-step-size)
  int32_t max_queue = 1024;           // waiting requests; beyond it `submit` refuses
  bool prefix_cache = true;
  size_t prefix_cache_bytes = 0;  // of the cache, for prompts that have ended; 0 = all of it
  // A step in which sequences decode takes no longer, as far as costs repeat: prompts get what is
  // left, at least a block, so that the bound is this or a decode step with one block of a prompt,
  // whichever is more. 0 = no bound.
  double max_step_ms = 0;
  SpeculationOptions speculation;
  bool graphs = true;  // record decode steps where the device can replay them
  // Adapters that requests may name; it outlives the engine and is changed within `call` only.
  const AdapterSet* adapters = nullptr;
};

// Counters since start and gauges now; a consistent copy.
struct EngineStats {
  uint64_t requests = 0, finished = 0, failed = 0, cancelled = 0;
  uint64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  uint64_t steps = 0;
  double busy_seconds = 0;
  // Steps of single tokens: their time, and what they must read: weights, and the keys and values
  // of every sequence.
  uint64_t decode_steps = 0;
  double decode_seconds = 0, decode_bytes = 0;
  int32_t running = 0, waiting = 0;
  uint64_t prefix_query_tokens = 0, prefix_hit_tokens = 0;  // prompt tokens looked up, found
  uint64_t evictions = 0;    // blocks that the prefix cache gave up for room
  uint64_t preemptions = 0;  // sequences whose blocks were taken
  // Guesses, those that came true, and the steps that checked some.
  uint64_t draft_tokens = 0, accepted_draft_tokens = 0, verify_steps = 0;
  uint64_t draft_failures = 0;  // steps in which the draft model failed, at no request's cost
  size_t kv_bytes = 0;          // of the whole cache
  // Held by sequences; free, yet with content that a prompt may find.
  int32_t blocks_total = 0, blocks_used = 0, blocks_cached = 0;
};

// Whether the engine's thread gets on: a step that has been running since long ago is stuck. What
// runs within Engine::call is a step too.
struct Heartbeat {
  uint64_t step = 0;                            // number of the last step that began
  std::chrono::steady_clock::time_point since;  // it began, or ended where none runs
  bool running = false;
};

class Engine {
 public:
  Engine(Backend& backend, Model& model, const EngineOptions& options);
  ~Engine();  // ends every request with kCancelled and joins the thread

  // Thread-safe. Throws Error(kUsage) for a request that can never run (empty prompt, a token id
  // outside the vocabulary, prompt + max_tokens beyond the context: both counts in the text; any
  // request where the model is an encoder), and
  // Error(kDevice) with `fault()` when the engine is not healthy. nullptr when the queue is full.
  std::shared_ptr<EventStream> submit(Request request, EventCallback on_event = nullptr);

  // Runs `work` on the engine's thread between two steps and waits for it; throws what it throws.
  // Throws Error(kDevice) when the engine ends before.
  void call(std::function<void()> work);

  // Tokens of prompts, or of texts to embed, that the next step leaves time for: `max_step_ms`
  // beside those who decode now. Thread-safe.
  int32_t prompt_budget() const;

  EngineStats stats() const;
  Heartbeat heartbeat() const;  // thread-safe, also while a step is stuck
  // Thread-safe. No request that is submitted later finds what was computed before.
  void reset_prefix_cache();
  int32_t max_context() const;
  // False after a fault of the backend; the reason is then in `fault()`.
  bool healthy() const;
  std::string fault() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mica

// Runs the slices of a step through the model and the sampler.
#pragma once

#include <optional>
#include <span>

#include "engine/batch_builder.h"
#include "engine/decode_graphs.h"
#include "engine/kv_memory.h"
#include "model/model.h"
#include "ops/arena.h"
#include "ops/sample/sample.h"

namespace mica {

// The largest batch of a step: prompts, and every sequence with its drafts.
BatchLimits batch_limits(const EngineOptions& options, const KvPlan& plan);
// Of the arena that a Runner takes.
size_t activation_bytes(const Model& model, const EngineOptions& options);

// Owns the memory of a step: activations, batch tensors, the cache. `launch` starts the forward
// pass and returns before it is done where the device is asynchronous; `sample` waits for tokens.
// Looking one step ahead means a second arena and builder, and `launch` of the next plan between
// the two calls.
class Runner {
 public:
  Runner(Backend& backend, Model& model, const EngineOptions& options, const KvPlan& plan);

  // The logits f32 [R, V] of the slices' rows, in order.
  Tensor launch(std::span<const Slice> slices);
  // One result per row.
  void sample(const Tensor& logits, std::span<const SampleRow> rows,
              std::span<SampleResult> results);
  // After a fault: waits until the device is quiet, ignoring what it says.
  void settle();
  // Of one token over all layers.
  size_t kv_bytes_per_token() const;
  // Decode shapes that are replayed.
  size_t recorded() const { return graphs_ ? graphs_->recorded() : 0; }

 private:
  Backend& backend_;
  Model& model_;
  Arena arena_;
  KvMemory memory_;
  BatchBuilder builder_;
  std::optional<DecodeGraphs> graphs_;  // where the device and the model can record
};

}  // namespace mica

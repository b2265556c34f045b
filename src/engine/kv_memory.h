// The memory of the KV cache and of recurrent states: how much, and the tensors in it.
#pragma once

#include <span>
#include <vector>

#include "engine/engine.h"
#include "ops/backend.h"
#include "ops/batch.h"

namespace mica {

// What fits, decided before anything is allocated.
struct KvPlan {
  int32_t block_size = 0;
  int32_t blocks = 0;
  int32_t max_context = 0;  // tokens of one sequence; always fits into the blocks
  int32_t state_slots = 0;  // hybrid models: one per sequence of a step, else 0
  size_t block_bytes = 0;   // of one block over all layers
  size_t bytes = 0;         // of everything
};

// What the model's layers need, quantized as the options say; throws Error(kUsage) where they
// can't.
std::vector<CacheSpec> cache_layers(const Model& model, const EngineOptions& options);

// Whether a layer is recurrent: keeps a state in place of keys and values.
bool has_states(std::span<const CacheSpec> specs);

// What of the device's memory a cache may take when the weights lie there: half of what is free on
// a machine that does other things too; on a device of its own all but the `activations` of a step,
// and a reserve for scratch memory and recordings.
size_t kv_budget(const DeviceInfo& device, size_t activations);

// Sizes the cache: options.kv_bytes, or `budget` and no more than a full batch of longest sequences
// needs. Throws Error(kOutOfMemory) when not even one block fits.
KvPlan plan_kv(std::span<const CacheSpec> specs, int64_t model_context,
               const EngineOptions& options, size_t budget);

// Owns one allocation, untouched until a step writes to it.
class KvMemory {
 public:
  KvMemory(Backend& backend, std::span<const CacheSpec> specs, const KvPlan& plan);
  KvCache& cache() { return cache_; }
  const KvCache& cache() const { return cache_; }

 private:
  Buffer buffer_;
  KvCache cache_;
};

}  // namespace mica

// One sequence straight through a model, without scheduling: for `logits` and measurements.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/kv_memory.h"
#include "model/model.h"
#include "ops/kv_quantization.h"

namespace mica {

// `sequences` sequences of equal length with a cache of their own, advanced in step.
class DirectRunner {
 public:
  DirectRunner(Backend& backend, Model& model, int32_t sequences, int32_t max_tokens,
               int32_t max_step_tokens, int32_t max_logit_rows, const KvQuantOptions& kv_quant = {},
               int64_t max_adapter_rank = 0);

  // Appends tokens[s * count .. (s + 1) * count) to sequence s; logits of the last token of each
  // ([S, V]), or of all tokens ([S * count, V]) with `all_rows`. Valid until the next call.
  Tensor step(std::span<const int32_t> tokens, bool all_rows = false);
  // From now on sequence s goes through the adapter in slots[s]. `adapters` outlives this.
  void use_adapters(const AdapterSet& adapters, std::vector<int32_t> slots);
  void rewind(int32_t length = 0) { length_ = length; }  // forget what lies behind `length`
  int32_t length() const { return length_; }

 private:
  Tensor put(const std::vector<int32_t>& values, Shape shape);

  Backend& backend_;
  Model& model_;
  int32_t sequences_;
  int32_t max_tokens_;
  int32_t length_ = 0;
  const AdapterSet* adapters_ = nullptr;
  std::vector<int32_t> adapter_slots_;  // by sequence
  KvMemory memory_;
  std::unique_ptr<Arena> arena_;
};

// Logits f32 [T, V] of every position, in pieces of `step` tokens (0 = all at once).
std::vector<float> all_logits(Backend& backend, Model& model, std::span<const int32_t> tokens,
                              int32_t step = 0, const KvQuantOptions& kv_quant = {});

}  // namespace mica

#include "engine/runner.h"

#include "base/log.h"
#include "model/adapters.h"

namespace mica {

namespace {

int32_t rows_of_a_sequence(const EngineOptions& options) {
  return 1 + (options.speculation.enabled() ? options.speculation.draft_tokens : 0);
}

int32_t most_rows(const EngineOptions& options) {
  return options.max_batch_sequences * rows_of_a_sequence(options);
}

}  // namespace

BatchLimits batch_limits(const EngineOptions& options, const KvPlan& plan) {
  return {.tokens = options.prefill_step_tokens + most_rows(options),
          .sequences = options.max_batch_sequences,
          .rows = most_rows(options),
          .blocks_per_sequence = (plan.max_context + plan.block_size - 1) / plan.block_size,
          .block_size = plan.block_size,
          .state_slots = plan.state_slots > 0,
          .adapters = options.adapters};
}

size_t activation_bytes(const Model& model, const EngineOptions& options) {
  const int64_t tokens = int64_t{options.prefill_step_tokens} + most_rows(options);
  const size_t adapted =
      options.adapters ? adapter_arena_bytes(options.adapters->max_rank(), tokens) : 0;
  return model.arena_bytes(tokens, most_rows(options)) + adapted;
}

Runner::Runner(Backend& backend, Model& model, const EngineOptions& options, const KvPlan& plan)
    : backend_(backend),
      model_(model),
      arena_(backend, activation_bytes(model, options)),
      memory_(backend, cache_layers(model, options), plan),
      builder_(backend, batch_limits(options, plan)) {
  if (options.graphs && backend.can_record() && model.recordable() && plan.state_slots == 0)
    graphs_.emplace(backend, model, batch_limits(options, plan));
}

Tensor Runner::launch(std::span<const Slice> slices) {
  arena_.reset();
  if (graphs_ && DecodeGraphs::serves(slices) && !uses_adapters(slices)) {
    const Padding padding = graphs_->padding_for(slices);
    const Batch& batch = builder_.build(slices, padding);
    return graphs_->run(batch, padding, memory_.cache(), arena_)
        .rows(0, static_cast<int64_t>(slices.size()));
  }
  const Batch& batch = builder_.build(slices);
  return model_.forward(batch, memory_.cache(), arena_);
}

void Runner::sample(const Tensor& logits, std::span<const SampleRow> rows,
                    std::span<SampleResult> results) {
  if (rows.empty()) {
    backend_.synchronize();  // faults of this step show up in this step
    return;
  }
  MICA_CHECK_MSG(logits.shape.rank() == 2 && logits.shape[0] == static_cast<int64_t>(rows.size()),
                 "logits {} for {} rows", to_string(logits.shape), rows.size());
  backend_.ops().sample(backend_, {.logits = logits, .rows = rows, .results = results});
}

size_t Runner::kv_bytes_per_token() const {
  size_t bytes = 0;
  const KvCache& cache = memory_.cache();
  for (const KvLayer& layer : cache.layers)
    if (layer.values.data) bytes += layer.keys.bytes() + layer.values.bytes();
  return bytes / (static_cast<size_t>(cache.blocks) * static_cast<size_t>(cache.block_size));
}

void Runner::settle() {
  try {
    backend_.synchronize();
  } catch (const std::exception& error) {
    log_debug("[engine] after a fault: {}", error.what());
  }
}

}  // namespace mica

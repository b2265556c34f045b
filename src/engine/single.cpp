#include "engine/single.h"

#include <algorithm>
#include <numeric>

#include "model/adapters.h"

namespace mica {
namespace {

constexpr int32_t kBlockSize = 32;

KvPlan plan_for(int32_t sequences, int32_t max_tokens) {
  KvPlan plan;
  plan.block_size = kBlockSize;
  plan.blocks = (max_tokens + kBlockSize - 1) / kBlockSize * sequences;
  return plan;
}

}  // namespace

DirectRunner::DirectRunner(Backend& backend, Model& model, int32_t sequences, int32_t max_tokens,
                           int32_t max_step_tokens, int32_t max_logit_rows,
                           const KvQuantOptions& kv_quant, int64_t max_adapter_rank)
    : backend_(backend),
      model_(model),
      sequences_(sequences),
      max_tokens_(max_tokens),
      memory_(backend, with_quantization(model.cache_layers(), kv_quant),
              plan_for(sequences, max_tokens)) {
  const int64_t tokens = int64_t{max_step_tokens} * sequences;
  const size_t adapted = adapter_arena_bytes(max_adapter_rank, tokens);
  const size_t indices =
      static_cast<size_t>(tokens * 5 + memory_.cache().blocks + 4 * sequences) * 4 + 4096;
  arena_ = std::make_unique<Arena>(backend,
                                   model.arena_bytes(tokens, max_logit_rows) + indices + adapted);
}

void DirectRunner::use_adapters(const AdapterSet& adapters, std::vector<int32_t> slots) {
  MICA_CHECK(slots.size() == static_cast<size_t>(sequences_));
  adapters_ = &adapters;
  adapter_slots_ = std::move(slots);
}

Tensor DirectRunner::put(const std::vector<int32_t>& values, Shape shape) {
  const Tensor tensor = arena_->take(DType::kI32, shape);
  backend_.upload(tensor.data, values.data(), tensor.bytes());
  return tensor;
}

Tensor DirectRunner::step(std::span<const int32_t> tokens, bool all_rows) {
  const int64_t total = static_cast<int64_t>(tokens.size());
  const int32_t count = static_cast<int32_t>(total / sequences_);
  MICA_CHECK(count > 0 && count * sequences_ == total && length_ + count <= max_tokens_);
  const int32_t per_sequence = memory_.cache().blocks / sequences_;

  std::vector<int32_t> positions, slots, starts{0}, lengths, table, rows;
  for (int32_t s = 0; s < sequences_; ++s) {
    for (int32_t i = 0; i < count; ++i) {
      positions.push_back(length_ + i);
      slots.push_back(s * per_sequence * kBlockSize + length_ + i);
      if (all_rows || i + 1 == count) rows.push_back(s * count + i);
    }
    starts.push_back((s + 1) * count);
    lengths.push_back(length_ + count);
    for (int32_t b = 0; b < per_sequence; ++b) table.push_back(s * per_sequence + b);
  }

  arena_->reset();
  Batch batch;
  batch.token_ids = put({tokens.begin(), tokens.end()}, {total});
  batch.positions = put(positions, {total});
  batch.slots = put(slots, {total});
  batch.query_start = put(starts, {sequences_ + 1});
  batch.kv_lengths = put(lengths, {sequences_});
  batch.block_table = put(table, {sequences_, per_sequence});
  batch.logit_rows = put(rows, {static_cast<int64_t>(rows.size())});
  batch.host_query_start = starts;
  batch.host_kv_lengths = lengths;
  if (adapters_) {
    std::vector<int32_t> ids;
    for (const int32_t slot : adapter_slots_) ids.insert(ids.end(), size_t(count), slot);
    batch.adapters = adapters_;
    batch.adapter_ids = put(ids, {total, 1});
  }
  const Tensor logits = model_.forward(batch, memory_.cache(), *arena_);
  length_ += count;
  return logits;
}

std::vector<float> all_logits(Backend& backend, Model& model, std::span<const int32_t> tokens,
                              int32_t step, const KvQuantOptions& kv_quant) {
  const int32_t total = static_cast<int32_t>(tokens.size());
  const int32_t piece = step > 0 ? std::min(step, total) : total;
  DirectRunner runner(backend, model, 1, total, piece, piece, kv_quant);
  std::vector<float> logits;
  logits.reserve(tokens.size() * static_cast<size_t>(model.config().vocab_size));
  for (int32_t begin = 0; begin < total; begin += piece) {
    const auto part = tokens.subspan(static_cast<size_t>(begin),
                                     static_cast<size_t>(std::min(piece, total - begin)));
    const Tensor rows = runner.step(part, /*all_rows=*/true);
    const size_t before = logits.size();
    logits.resize(before + static_cast<size_t>(rows.elements()));
    backend.synchronize();
    backend.download(logits.data() + before, rows.data, rows.bytes());
  }
  return logits;
}

}  // namespace mica

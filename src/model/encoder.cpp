#include "model/encoder.h"

#include <algorithm>
#include <cmath>

#include "ops/attention/attention.h"
#include "ops/rope_append/rope_append.h"

namespace mica {
namespace {

constexpr int32_t kBlockSize = 32;

int32_t blocks_of(int32_t tokens) {
  return (tokens + kBlockSize - 1) / kBlockSize;
}

}  // namespace

EncoderView::EncoderView(const Step& step, const ModelConfig& config) {
  const std::span<const int32_t> starts = step.batch.host_query_start;
  const int64_t tokens = step.batch.tokens();
  MICA_CHECK(starts.size() >= 2 && starts.size() <= kMaxEncoderSequences + 1);
  int32_t columns = 0;
  for (size_t s = 0; s + 1 < starts.size(); ++s)
    columns = std::max(columns, blocks_of(starts[s + 1] - starts[s]));
  std::vector<int32_t> positions, slots, table, last;
  int32_t blocks = 0;
  for (size_t s = 0; s + 1 < starts.size(); ++s) {
    const int32_t length = starts[s + 1] - starts[s], own = blocks_of(length);
    MICA_CHECK(length > 0 && length <= config.max_position_embeddings);
    for (int32_t t = 0; t < length; ++t) {
      positions.push_back(static_cast<int32_t>(config.position_offset) + t);
      slots.push_back(blocks * kBlockSize + t);
      last.push_back(length - 1);
      lengths_.push_back(length);
      for (int32_t b = 0; b < columns; ++b) table.push_back(b < own ? blocks + b : 0);
    }
    blocks += own;
  }
  for (int32_t t = 0; t <= tokens; ++t) starts_.push_back(t);
  positions_ = put(step, positions, {tokens});
  slots_ = put(step, slots, {tokens});
  token_types_ = put(step, std::vector<int32_t>(static_cast<size_t>(tokens)), {tokens});
  queries_.token_ids = step.batch.token_ids;
  queries_.positions = put(step, last, {tokens});
  queries_.query_start = put(step, starts_, {tokens + 1});
  queries_.kv_lengths = put(step, lengths_, {tokens});
  queries_.block_table = put(step, table, {tokens, columns});
  queries_.host_query_start = starts_;
  queries_.host_kv_lengths = lengths_;
  const Shape shape{blocks, config.num_key_value_heads, kBlockSize, config.head_dim};
  cache_.keys = step.arena.take(config.dtype, shape);
  cache_.values = step.arena.take(config.dtype, shape);
}

Tensor EncoderView::put(const Step& step, const std::vector<int32_t>& values, Shape shape) {
  const Tensor tensor = step.arena.take(DType::kI32, shape);
  step.backend.upload(tensor.data, values.data(), tensor.bytes());
  return tensor;
}

void EncoderView::attend(const Step& step, const Tensor& q, const Tensor& k, const Tensor& v,
                         const Tensor& out) const {
  step.backend.ops().rope_append(
      step.backend,
      {.q = q, .k = k, .v = v, .positions = positions_, .slots = slots_, .cache = cache_});
  step.backend.ops().attention(step.backend,
                               {.q = q,
                                .out = out,
                                .cache = cache_,
                                .block_size = kBlockSize,
                                .batch = &queries_,
                                .scale = 1.0f / std::sqrt(static_cast<float>(q.shape[2]))});
}

size_t EncoderView::bytes(const ModelConfig& config, int64_t tokens) {
  const int64_t blocks = tokens / kBlockSize + kMaxEncoderSequences;
  const int64_t columns = blocks_of(static_cast<int32_t>(tokens));
  const int64_t cached = 2 * blocks * kBlockSize * config.num_key_value_heads * config.head_dim;
  return static_cast<size_t>(tokens * (columns + 6) + 1 + cached) * sizeof(float) + 16 * 256;
}

size_t EncoderModel::arena_bytes(int64_t tokens, int64_t rows) const {
  // Hidden states and embeddings; q, k, v, mixed, or the wide layer. All counted as f32.
  const int64_t wide = std::max(4 * config_.hidden_size, config_.intermediate_size);
  const int64_t values = tokens * (3 * config_.hidden_size + wide) + rows * config_.hidden_size;
  return static_cast<size_t>(values) * sizeof(float) + EncoderView::bytes(config_, tokens) +
         64 * 256;
}

Tensor EncoderModel::forward(const Batch&, KvCache&, Arena&) {
  throw Error(
      ErrorKind::kUsage,
      "[model] model type '{}' is an encoder: it makes embeddings (POST /v1/embeddings) and "
      "generates no text",
      config_.model_type);
}

}  // namespace mica

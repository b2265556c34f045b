// The first kernel of sampling: edits and mask of logits, the highest one, the log-sum-exp.
#include "ops/sample/cuda_row.h"

namespace mica::MICA_GPU::sampling {
namespace {

// Logit bias and penalties of the tokens in the chunk: each token's edits by one thread, in order.
MICA_DEVICE void apply_edits(const Chunk& chunk, const Edit* edits, int count) {
  for (int i = thread_id(); i < count; i += thread_count()) {
    const int token = edits[i].token;
    if (token < chunk.begin || token >= chunk.end) continue;
    if (i > 0 && edits[i - 1].token == token) continue;
    float logit = chunk.logits[token];
    for (int j = i; j < count && edits[j].token == token; ++j) {
      const Edit edit = edits[j];
      if (edit.repetition)
        logit = logit < 0 ? logit * edit.value : logit / edit.value;
      else
        logit += edit.value;
    }
    chunk.logits[token] = logit;
  }
}

// As apply_mask in mask.h; a warp reads one word at a time.
MICA_DEVICE void apply_mask(const Chunk& chunk, const uint32_t* allowed) {
  const float minus_infinity = as_float(0xff800000u), lowest = as_float(0xff7fffffu);
  MICA_ROLLED
  for (int token = chunk.begin + thread_id(); token < chunk.end; token += thread_count()) {
    float& logit = chunk.logits[token];
    if (!(allowed[token / 32] >> (token % 32) & 1))
      logit = minus_infinity;
    else if (!(logit > minus_infinity))
      logit = lowest;
  }
}

// Of the whole row, from its chunks: each chunk's sum is relative to its own highest logit.
MICA_DEVICE void merge(const Batch& batch, int row, uint64_t* scratch) {
  const Partial* partials = batch.partials + static_cast<int64_t>(row) * batch.chunks;
  Order argmax = kEverything;
  for (int i = thread_id(); i < batch.chunks; i += thread_count())
    argmax = earlier(argmax, partials[i].order);
  argmax = block_min(argmax, scratch);
  const float highest = logit_of(argmax);
  uint64_t sum = 0;
  for (int i = thread_id(); i < batch.chunks; i += thread_count()) {
    const float top = logit_of(partials[i].order);
    const double scale = top == highest ? 1 : exp(static_cast<double>(top) - highest);
    sum += static_cast<uint64_t>(scale * static_cast<double>(partials[i].sum));
  }
  sum = block_sum(sum, scratch);
  if (thread_id() != 0) return;
  const RowParams& params = batch.params[row];
  RowState& state = batch.states[row];
  state.highest = state.top = highest;
  state.argmax = argmax;
  state.log_sum = log(static_cast<double>(sum) / static_cast<double>(kOne));
  state.min_p = kEverything;
  if (params.min_p) state.min_p = later(cut_at(highest + params.log_min_p, false), argmax);
  state.cut = params.min_p && params.keep <= 1 ? state.min_p : kEverything;
  const float* logits = batch.logits + static_cast<int64_t>(row) * batch.vocabulary;
  const Order result =
      params.given < 0 ? argmax : order_of(clean(logits[params.given]), params.given);
  batch.results[static_cast<int64_t>(row) * batch.results_stride] =
      with_logprob(result, highest, state.log_sum);
}

MICA_KERNEL MICA_LAUNCH_BOUNDS(kBlock, 2) void survey_kernel(Batch batch) {
  Shared shared;
  auto* scratch = shared.take<uint64_t>(kScratch);
  const Chunk chunk(batch);
  grid_dependency_wait();
  const RowParams& params = batch.params[chunk.row];
  apply_edits(chunk, batch.edits + params.first_edit, params.edits);
  sync_threads();
  if (params.masked) {
    apply_mask(chunk, batch.masks + params.first_word);
    sync_threads();
  }
  float values[kPerThread];
  chunk.load(values);
  Order first = kEverything;
  chunk.for_each(values, [&](Order order, float) { first = earlier(first, order); });
  first = block_min(first, scratch);
  const float top = logit_of(first);
  uint64_t sum = 0;
  chunk.for_each(values, [&](Order, float logit) { sum += mass_of(logit, top); });
  sum = block_sum(sum, scratch);
  if (thread_id() == 0) batch.partials[block_index().x] = {first, sum};
  if (params.search) clear_histogram(batch, chunk);
  if (is_last_block(&batch.states[chunk.row].tickets[0], batch.chunks, scratch))
    merge(batch, chunk.row, scratch);
  grid_dependency_launch();
}

}  // namespace

void survey(gpu::Stream& stream, const Batch& batch) {
  launch(stream, config("sample survey", batch, shared_bytes<uint64_t>(kScratch)), survey_kernel,
         batch);
}

}  // namespace mica::MICA_GPU::sampling

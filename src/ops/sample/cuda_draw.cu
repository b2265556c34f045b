// What comes after the filters: XTC's exclusion, and the draw.
#include "ops/sample/cuda_row.h"

namespace mica::MICA_GPU::sampling {
namespace {

struct Specials {
  const int32_t* ids;
  int count;

  MICA_DEVICE bool has(int id) const {
    for (int i = 0; i < count; ++i)
      if (ids[i] == id) return true;
    return false;
  }
};

MICA_DEVICE Specials specials_of(const Batch& batch, const RowParams& params) {
  return {batch.specials + params.first_special, params.specials};
}

// XTC keeps the least likely of the tokens above its threshold, what ties with it and what is less
// likely, and of the others the special tokens. top_k counts those first.
MICA_DEVICE void exclude_before(const Batch& batch, int row, Order least, uint64_t* scratch) {
  const RowParams& params = batch.params[row];
  RowState& state = batch.states[row];
  const Specials specials = specials_of(batch, params);
  const float* logits = batch.logits + static_cast<int64_t>(row) * batch.vocabulary;
  const auto special = [&](int i) {
    return order_of(clean(logits[specials.ids[i]]), specials.ids[i]);
  };
  const Order start = first_tie(least);
  uint64_t kept = 0;
  Order first = kEverything;
  for (int i = thread_id(); i < specials.count; i += thread_count()) {
    if (special(i) >= start) continue;
    ++kept;
    first = earlier(first, special(i));
  }
  kept = block_sum(kept, scratch);
  first = block_min(first, scratch);
  const int64_t left = params.top_k - static_cast<int64_t>(kept);
  const bool only_specials = params.top_k > 0 && left <= 0;
  if (only_specials)
    for (int i = thread_id(); i < specials.count; i += thread_count()) {
      int rank = 1;
      for (int j = 0; j < specials.count; ++j) rank += special(j) < special(i);
      if (rank == params.top_k) state.special_cut = special(i);
    }
  if (thread_id() != 0) return;
  state.start = start;
  state.ranks_left = params.top_k > 0 && left > 0 ? left : 0;
  if (only_specials)
    state.cut = 0;  // before `start`
  else
    state.special_cut = start;
  if (start != 0) state.top = logit_of(kept > 0 ? first : start);
}

MICA_KERNEL MICA_LAUNCH_BOUNDS(kBlock) void exclude_kernel(Batch batch) {
  Shared shared;
  auto* scratch = shared.take<uint64_t>(kScratch);
  const Chunk chunk(batch);
  grid_dependency_wait();
  const RowParams& params = batch.params[chunk.row];
  RowState& state = batch.states[chunk.row];
  if (!params.xtc) return;
  const Order bound = state.xtc_bound;
  float values[kPerThread];
  chunk.load(values);
  Order least = 0;
  chunk.for_each(values, [&](Order order, float) {
    if (order <= bound) least = later(least, order);
  });
  least = ~block_min(~least, scratch);
  if (thread_id() == 0) batch.partials[block_index().x].order = least;
  if (params.top_k > 0) clear_histogram(batch, chunk);
  if (is_last_block(&state.tickets[5], batch.chunks, scratch)) {
    least = 0;
    for (int i = thread_id(); i < batch.chunks; i += thread_count())
      least =
          later(least, batch.partials[static_cast<int64_t>(chunk.row) * batch.chunks + i].order);
    least = ~block_min(~least, scratch);
    exclude_before(batch, chunk.row, least, scratch);
  }
  grid_dependency_launch();
}

// The weight of each token to draw; 0 for those that the filters removed.
struct Survivors {
  Order start, cut, special_cut;
  Specials specials;
  float top, temperature;

  MICA_DEVICE uint64_t weight(Order order) const {
    const bool survives =
        order >= start ? order <= cut : order <= special_cut && specials.has(id_of(order));
    return survives ? weight_of(logit_of(order), top, temperature) : 0;
  }
};

MICA_DEVICE void draw_token(const Batch& batch, int row, const Survivors& survivors,
                            uint64_t* scratch) {
  const RowParams& params = batch.params[row];
  const RowState& state = batch.states[row];
  const Partial* partials = batch.partials + static_cast<int64_t>(row) * batch.chunks;
  uint64_t total = 0;
  for (int i = thread_id(); i < batch.chunks; i += thread_count()) total += partials[i].sum;
  total = block_sum(total, scratch);
  auto target = static_cast<uint64_t>(params.random * static_cast<double>(total));
  if (target >= total) target = total - 1;
  // In the order of ids: first the chunk, then the token in it.
  const auto chunk_sum = [&](int i) { return partials[i].sum; };
  const Found chunk = find_first(batch.chunks, target + 1, chunk_sum, scratch);
  const float* logits = batch.logits + static_cast<int64_t>(row) * batch.vocabulary;
  const int begin = chunk.index * kChunk;
  const int end = batch.vocabulary < begin + kChunk ? batch.vocabulary : begin + kChunk;
  const auto order = [&](int i) { return order_of(clean(logits[begin + i]), begin + i); };
  const auto weight = [&](int i) { return survivors.weight(order(i)); };
  const Found token = find_first(end - begin, chunk.rest, weight, scratch);
  if (thread_id() == 0)
    batch.results[static_cast<int64_t>(row) * batch.results_stride] =
        with_logprob(order(token.index), state.highest, state.log_sum);
}

MICA_KERNEL MICA_LAUNCH_BOUNDS(kBlock) void draw_kernel(Batch batch) {
  Shared shared;
  auto* scratch = shared.take<uint64_t>(kScratch);
  const Chunk chunk(batch);
  grid_dependency_wait();
  const RowParams& params = batch.params[chunk.row];
  RowState& state = batch.states[chunk.row];
  if (!(params.temperature > 0)) return;
  const Survivors survivors = {state.start,       state.cut,
                               state.special_cut, specials_of(batch, params),
                               state.top,         params.temperature};
  float values[kPerThread];
  chunk.load(values);
  uint64_t sum = 0;
  chunk.for_each(values, [&](Order order, float) { sum += survivors.weight(order); });
  sum = block_sum(sum, scratch);
  if (thread_id() == 0) batch.partials[block_index().x].sum = sum;
  if (is_last_block(&state.tickets[6], batch.chunks, scratch))
    draw_token(batch, chunk.row, survivors, scratch);
  grid_dependency_launch();
}

}  // namespace

void exclude(gpu::Stream& stream, const Batch& batch) {
  launch(stream, config("sample exclude", batch, shared_bytes<uint64_t>(kScratch)), exclude_kernel,
         batch);
}

void draw(gpu::Stream& stream, const Batch& batch) {
  launch(stream, config("sample draw", batch, shared_bytes<uint64_t>(kScratch)), draw_kernel,
         batch);
}

}  // namespace mica::MICA_GPU::sampling

// The search of a cut, first part: a histogram of the row, and the bins in which the filters end.
#include "ops/sample/cuda_row.h"

namespace mica::MICA_GPU::sampling {
namespace {

// The block's own counts and masses; 64-bit sums in two words, of which the upper one seldom
// changes: only logits within 9 nats of the highest reach it, and carries.
struct BlockHistogram {
  uint32_t *count, *low, *high;  // [kBins] in shared memory

  MICA_DEVICE void clear() const {
    for (int bin = thread_id(); bin < kBins; bin += thread_count())
      count[bin] = low[bin] = high[bin] = 0;
  }
  MICA_DEVICE void add(int bin, uint64_t mass) const {
    red_add_shared(&count[bin], 1);
    if (mass != 0) add_shared(&low[bin], &high[bin], mass);
  }
  MICA_DEVICE void add_to(Histogram& row) const {
    for (int bin = thread_id(); bin < kBins; bin += thread_count()) {
      if (count[bin] == 0) continue;
      red_add(&row.count[bin], count[bin]);
      red_add(&row.mass[bin], uint64_t{high[bin]} << 32 | low[bin]);
    }
  }
};

MICA_DEVICE uint64_t mass_before(const Histogram& histogram, int end, uint64_t* scratch) {
  uint64_t sum = 0;
  for (int bin = thread_id(); bin < end; bin += thread_count()) sum += histogram.mass[bin];
  return block_sum(sum, scratch);
}

// The mass or count to reach; 0: not sought.
MICA_DEVICE uint64_t target_of(int target, const RowParams& params, const RowState& state,
                               int search, uint64_t mass) {
  if (search == 1) return target == kTopK ? static_cast<uint64_t>(state.ranks_left) : 0;
  int32_t rank = 0;
  switch (target) {
    case kTopP: return static_cast<uint64_t>(ceil(params.top_p * static_cast<double>(mass)));
    case kTopK: rank = params.xtc ? 0 : params.top_k; break;
    case kKeep: rank = params.min_p && params.keep > 1 ? params.keep : 0; break;
    default: rank = params.top;
  }
  return static_cast<uint64_t>(rank);
}

// The bins in which the targets are reached, and the first bin in which a filter ends.
MICA_DEVICE void find_places(const RowParams& params, RowState& state, int search,
                             const Histogram& histogram, uint64_t* scratch) {
  const bool masses = search == 0 && (params.top_p > 0 || params.xtc);
  const uint64_t mass = masses ? mass_before(histogram, kBins, scratch) : 0;
  int bin = kBins;
  for (int target = 0; target < kTargets; ++target) {
    const uint64_t sought = target_of(target, params, state, search, mass);
    Found found = {kBins, 0};
    const auto value = [&](int i) {
      return target == kTopP ? histogram.mass[i] : uint64_t{histogram.count[i]};
    };
    if (sought != 0) found = find_first(kBins, sought, value, scratch);
    if (thread_id() == 0) state.places[target] = {found.index, found.rest};
    int end = target == kAlternatives ? kBins : found.index;
    if (target == kKeep && search == 0 && params.min_p) {
      // The later of two cuts: what is likely enough, and the `keep` most likely.
      const int likely = bin_of(logit_of(state.min_p), state.highest);
      end = sought != 0 && end > likely ? end : likely;
    }
    bin = end < bin ? end : bin;
  }
  const uint64_t above = search == 0 && params.xtc ? mass_before(histogram, bin, scratch) : 0;
  if (thread_id() != 0) return;
  state.bin = bin;
  state.mass_above = above;
}

MICA_KERNEL MICA_LAUNCH_BOUNDS(kBlock, 3) void histogram_kernel(Batch batch, int search) {
  Shared shared;
  auto* scratch = shared.take<uint64_t>(kScratch);
  const BlockHistogram own = {shared.take<uint32_t>(kBins), shared.take<uint32_t>(kBins),
                              shared.take<uint32_t>(kBins)};
  const Chunk chunk(batch);
  grid_dependency_wait();
  const RowParams& params = batch.params[chunk.row];
  RowState& state = batch.states[chunk.row];
  if (!takes_part(params, state, search)) return;
  const float highest = state.highest;
  const Order start = state.start;
  const bool masses = search == 0 && (params.top_p > 0 || params.xtc);
  float values[kPerThread];
  chunk.load(values);
  own.clear();
  sync_threads();
  chunk.for_each(values, [&](Order order, float logit) {
    if (order >= start) own.add(bin_of(logit, highest), masses ? mass_of(logit, highest) : 0);
  });
  sync_threads();
  own.add_to(batch.histograms[chunk.row]);
  if (is_last_block(&state.tickets[1 + 2 * search], batch.chunks, scratch))
    find_places(params, state, search, batch.histograms[chunk.row], scratch);
  grid_dependency_launch();
}

}  // namespace

void histogram(gpu::Stream& stream, const Batch& batch, int search) {
  const size_t bytes = shared_bytes<uint64_t>(kScratch) + 3 * shared_bytes<uint32_t>(kBins);
  launch(stream, config("sample histogram", batch, bytes), histogram_kernel, batch, search);
}

}  // namespace mica::MICA_GPU::sampling

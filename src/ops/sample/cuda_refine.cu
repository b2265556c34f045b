// The search of a cut, second part: the exact one among the logits of its bin, and the
// alternatives.
#include "ops/sample/cuda_row.h"

namespace mica::MICA_GPU::sampling {
namespace {

// Shared memory of the last block.
struct Workspace {
  uint64_t* scratch;     // [kScratch]
  Order* listed;         // [kListed]
  uint64_t* weights;     // [kListed]
  uint32_t *low, *high;  // [kBins]
  Order* top;            // [kMaxTop]
};

// The logits of the bins in question: a list of them, or the whole row where the list overflowed.
struct Items {
  const float* logits;
  int vocabulary;
  float highest;
  Order start;
  const Order* list;
  int listed;

  MICA_DEVICE bool in_list() const { return listed <= kListed; }
  MICA_DEVICE int bin(Order order) const { return bin_of(logit_of(order), highest); }
  MICA_DEVICE uint64_t mass(Order order) const { return mass_of(logit_of(order), highest); }
  template <typename Visit>
  MICA_DEVICE void for_each(Visit&& visit) const {
    const int count = in_list() ? listed : vocabulary;
    for (int i = thread_id(); i < count; i += thread_count()) {
      const Order order = in_list() ? list[i] : order_of(clean(logits[i]), i);
      if (order >= start) visit(order);
    }
  }
};

// The order at which the count or mass of the place is reached, by comparing all with all.
MICA_DEVICE Order select_by_counting(const Items& items, const Place& place, bool by_mass,
                                     const Workspace& work) {
  for (int i = thread_id(); i < items.listed; i += thread_count()) {
    uint64_t weight = 0;
    if (items.bin(items.list[i]) == place.bin) weight = by_mass ? items.mass(items.list[i]) : 1;
    work.weights[i] = weight;
  }
  if (thread_id() == 0) work.scratch[kSlot] = kEverything;
  sync_threads();
  for (int i = thread_id(); i < items.listed; i += thread_count()) {
    const Order order = items.list[i];
    const uint64_t own = work.weights[i];
    if (own == 0) continue;
    uint64_t sum = 0;
    for (int j = 0; j < items.listed; ++j)
      if (items.list[j] <= order) sum += work.weights[j];
    if (sum >= place.rest && sum - own < place.rest) work.scratch[kSlot] = order;
  }
  sync_threads();
  const Order found = work.scratch[kSlot];
  sync_threads();
  return found;
}

// The same by digits of the order from the top, over the whole row: for rows with many ties, which
// one block reads five times.
MICA_DEVICE Order select_by_digits(const Items& items, const Place& place, bool by_mass,
                                   const Workspace& work) {
  const int digits = by_mass ? 3 : 5;  // the logit's three, then the id's
  Order prefix = 0;
  uint64_t target = place.rest;
  int below = 64;  // bits after the digit
  for (int digit = 0; digit < digits; ++digit) {
    // 11, 11, 10 bits of the logit; the upper 21 of the id, of which 10 are zero, and 11.
    const int width = digit == 2 ? 10 : digit == 3 ? 21 : 11;
    below -= width;
    for (int i = thread_id(); i < kBins; i += thread_count()) work.low[i] = work.high[i] = 0;
    sync_threads();
    items.for_each([&](Order order) {
      if (order >> below >> width != prefix || items.bin(order) != place.bin) return;
      const auto value = static_cast<int>(order >> below & ((1u << width) - 1));
      add_shared(&work.low[value], &work.high[value], by_mass ? items.mass(order) : 1);
    });
    sync_threads();
    const auto sum = [&](int i) { return uint64_t{work.high[i]} << 32 | work.low[i]; };
    const Found found = find_first(kBins, target, sum, work.scratch);
    prefix = prefix << width | static_cast<uint32_t>(found.index);
    target = found.rest;
  }
  return by_mass ? prefix << 32 : prefix;
}

// The last order that the filters leave, and the last one of the alternatives. A filter that ends
// in a later bin than another removes nothing more.
struct Cuts {
  Order drawn, alternatives;
};

MICA_DEVICE Cuts find_cuts(const RowParams& params, const RowState& state, const Items& items,
                           const Workspace& work) {
  Cuts cuts = {state.cut, 0};
  if (params.min_p && params.keep > 1 && state.places[kKeep].bin < state.bin)
    cuts.drawn = earlier(cuts.drawn, state.min_p);
  for (int target = 0; target < kTargets; ++target) {
    const Place place = state.places[target];
    if (place.bin == kBins || (target != kAlternatives && place.bin != state.bin)) continue;
    Order found = items.in_list() ? select_by_counting(items, place, target == kTopP, work)
                                  : select_by_digits(items, place, target == kTopP, work);
    if (target == kTopP) found = last_tie(found);
    if (target == kKeep) found = later(found, state.min_p);
    if (target == kAlternatives)
      cuts.alternatives = found;
    else
      cuts.drawn = earlier(cuts.drawn, found);
  }
  return cuts;
}

// The threshold of XTC among what the cut leaves: a share of its mass.
MICA_DEVICE Order find_xtc_bound(const RowParams& params, const RowState& state, Order cut,
                                 const Items& items, const Workspace& work) {
  uint64_t mass = 0;
  items.for_each([&](Order order) {
    if (order <= cut && items.bin(order) == state.bin) mass += items.mass(order);
  });
  mass = state.mass_above + block_sum(mass, work.scratch);
  const double share = static_cast<double>(mass) / static_cast<double>(kOne);
  return cut_at(state.highest + log(params.xtc_threshold * share), true);
}

// The alternatives, highest first.
MICA_DEVICE void write_alternatives(const Batch& batch, int row, Order last, const Items& items,
                                    const Workspace& work) {
  const RowState& state = batch.states[row];
  const int wanted = batch.params[row].top;
  auto* count = reinterpret_cast<uint32_t*>(&work.scratch[kSlot]);
  if (thread_id() == 0) *count = 0;
  sync_threads();
  items.for_each([&](Order order) {
    if (order > last) return;
    const uint32_t slot = atom_add_shared(count, 1);
    if (slot < kMaxTop) work.top[slot] = order;
  });
  sync_threads();
  TokenLogprob* results = batch.results + static_cast<int64_t>(row) * batch.results_stride + 1;
  for (int i = thread_id(); i < wanted; i += thread_count()) {
    int rank = 0;
    for (int j = 0; j < wanted; ++j) rank += work.top[j] < work.top[i];
    results[rank] = with_logprob(work.top[i], state.highest, state.log_sum);
  }
}

// Puts the logits of the cut's bin, and those above the last alternative's, into the row's list.
MICA_DEVICE void list_chunk(const Batch& batch, const Chunk& chunk, const RowState& state,
                            int top_bin, uint32_t* listed, uint64_t* scratch) {
  const float highest = state.highest;
  const Order start = state.start;
  const int cut_bin = state.bin;
  const auto wanted = [&](Order order, float logit) {
    const int bin = bin_of(logit, highest);
    return order >= start && (bin == cut_bin || bin <= top_bin);
  };
  float values[kPerThread];
  chunk.load(values);
  uint32_t own = 0;
  chunk.for_each(values, [&](Order order, float logit) { own += wanted(order, logit); });
  const auto before = static_cast<uint32_t>(block_prefix(own, scratch));
  if (thread_id() == thread_count() - 1) {
    const uint32_t all = before + own;
    scratch[kSlot] = all == 0 ? 0 : atom_add(listed, all);
  }
  sync_threads();
  uint32_t slot = static_cast<uint32_t>(scratch[kSlot]) + before;
  Order* list = batch.lists + static_cast<int64_t>(chunk.row) * kListed;
  chunk.for_each(values, [&](Order order, float logit) {
    if (!wanted(order, logit)) return;
    if (slot < kListed) list[slot] = order;
    ++slot;
  });
}

MICA_KERNEL MICA_LAUNCH_BOUNDS(kBlock, 2) void refine_kernel(Batch batch, int search) {
  Shared shared;
  const Workspace work = {shared.take<uint64_t>(kScratch), shared.take<Order>(kListed),
                          shared.take<uint64_t>(kListed),  shared.take<uint32_t>(kBins),
                          shared.take<uint32_t>(kBins),    shared.take<Order>(kMaxTop)};
  const Chunk chunk(batch);
  grid_dependency_wait();
  const RowParams& params = batch.params[chunk.row];
  RowState& state = batch.states[chunk.row];
  if (!takes_part(params, state, search)) return;
  const int top_bin = state.places[kAlternatives].bin;
  const bool alternatives = top_bin < kBins;
  list_chunk(batch, chunk, state, alternatives ? top_bin : -1, &state.listed[search], work.scratch);
  if (is_last_block(&state.tickets[2 + 2 * search], batch.chunks, work.scratch)) {
    const Items items = {chunk.logits, batch.vocabulary, state.highest,
                         state.start,  work.listed,      static_cast<int>(state.listed[search])};
    if (items.in_list())
      for (int i = thread_id(); i < items.listed; i += thread_count())
        work.listed[i] = batch.lists[static_cast<int64_t>(chunk.row) * kListed + i];
    sync_threads();
    const Cuts cuts = find_cuts(params, state, items, work);
    if (search == 0 && params.xtc) {
      const Order bound = find_xtc_bound(params, state, cuts.drawn, items, work);
      if (thread_id() == 0) state.xtc_bound = earlier(bound, cuts.drawn);
    }
    if (alternatives) write_alternatives(batch, chunk.row, cuts.alternatives, items, work);
    sync_threads();
    if (thread_id() == 0) state.cut = cuts.drawn;
  }
  grid_dependency_launch();
}

}  // namespace

void refine(gpu::Stream& stream, const Batch& batch, int search) {
  const size_t bytes = shared_bytes<uint64_t>(kScratch) + 2 * shared_bytes<Order>(kListed) +
                       2 * shared_bytes<uint32_t>(kBins) + shared_bytes<Order>(kMaxTop);
  launch(stream, config("sample refine", batch, bytes), refine_kernel, batch, search);
}

}  // namespace mica::MICA_GPU::sampling

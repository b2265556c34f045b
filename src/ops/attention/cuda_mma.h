// Attention with tensor cores, for q, cache and out of one 16-bit dtype.
//
//   computes   out = softmax(scale * q k^T) v of a tile of rows over a split of positions, or the
//              state of that split (cuda_plan.h)
//   work       16 rows are the M of mma.m16n8k16; a block has kWarpsM such tiles and kWarpsD warps
//              on each. For scores these share the positions, for out its columns, and meet in
//              shared memory; with kWarpsD = 1 the weights stay in registers. Tiles of keys and
//              values pass in turn through a ring of kRing slots, filled by cp.async. Of a
//              quantized cache the codes do, and become a tile of the dtype when it is their turn.
//   requires   head size a multiple of 8, block size a power of 2 from 8
//   precision  products and sums in f32, weights rounded to the dtype before they multiply values;
//              the sum of weights is one more mma, so that both layouts get the same bits
//   limit      decode: bytes of keys and values, read once for all heads of a group; three tiles
//              are on their way while one is worked on. Prefill: mma, where 16 rows a warp let
//              shared memory keep up (docs/attention-gpu.md); 128 rows (64 of 256 elements, 32 of
//              512) share each tile that is read.
#pragma once

#include "ops/attention/cuda_attention.h"
#include "ops/attention/cuda_coded.h"
#include "ops/attention/cuda_products.h"

namespace mica::MICA_GPU {

template <typename L>
MICA_DEVICE void clear(Sums<L>& sums) {
  MICA_UNROLL
  for (int i = 0; i < 4; ++i) {
    sums.weights[i] = 0;
    MICA_UNROLL
    for (int n = 0; n < L::kColumns / 8; ++n) sums.out[n][i] = 0;
  }
  for (int i = 0; i < 2; ++i) sums.highest[i] = kNothing;
}

// Ends a split: joins its sums to those of earlier ones (`total`: there are some), which the thread
// keeps in a.folds, or in registers at the last split. Highest are exponents then.
template <typename L>
MICA_DEVICE void end_split(const AttentionArgs& a, const Block<L>& b, bool total, bool last,
                           Sums<L>& sums) {
  float* kept =
      a.folds + static_cast<int64_t>(block_index().x) * L::kFoldFloats * L::kThreads + b.thread;
  const auto join = [&](const FoldWeights& w, int index, float& value) {
    float* place = kept + index * L::kThreads;
    value = fold(w, total ? *place : 0, value);
    if (!last) *place = value;
  };
  MICA_UNROLL
  for (int i = 0; i < 2; ++i) {
    float* highest = kept + i * L::kThreads;
    const FoldWeights w = fold_weights(total ? *highest : kNothing, sums.highest[i] * a.factor);
    sums.highest[i] = w.highest;
    if (!last) *highest = w.highest;
    join(w, 2 + i, sums.weights[2 * i]);
    MICA_UNROLL
    for (int n = 0; n < L::kColumns / 8; ++n) {
      MICA_UNROLL
      for (int j = 0; j < 2; ++j) join(w, 4 + n * 4 + 2 * i + j, sums.out[n][2 * i + j]);
    }
  }
  if (!last) clear(sums);
}

// The results of finished rows, or the states of one split of them.
template <typename L>
MICA_DEVICE void write_rows(const AttentionArgs& a, const Block<L>& b, int work,
                            const Sums<L>& sums) {
  using T = typename L::T;
  struct alignas(8) Pair {
    float low, high;
  };
  const bool partial = b.item->splits > 1;
  MICA_UNROLL
  for (int i = 0; i < 2; ++i) {
    const int row = b.warp_m * 16 + b.lane / 4 + 8 * i;
    const AttentionRow r = row_of(a, *b.item, work % a.kv_heads, row);
    if (!r.valid) continue;
    const int64_t state = static_cast<int64_t>(work) * a.state_rows + row;
    const int column = b.warp_d * L::kColumns + b.lane % 4 * 2;
    const float scale = partial ? 1
                                : finish(sums.highest[i], sums.weights[2 * i],
                                         a.sinks ? a.sinks + r.head : nullptr);
    if (partial && b.warp_d == 0 && b.lane % 4 == 0)
      reinterpret_cast<Pair*>(a.norms)[state] = {sums.highest[i], sums.weights[2 * i]};
    MICA_UNROLL
    for (int n = 0; n < L::kColumns / 8; ++n) {
      if (b.warp_d * L::kColumns + n * 8 >= a.size) break;
      const float low = sums.out[n][2 * i], high = sums.out[n][2 * i + 1];
      if (partial)
        *reinterpret_cast<Pair*>(a.states + state * a.size + column + n * 8) = {low, high};
      else
        *reinterpret_cast<uint32_t*>(static_cast<T*>(a.out) + r.offset + column + n * 8) =
            pack_pair<T>(finished(low, scale), finished(high, scale));
    }
  }
}

// One item for one kv head.
template <typename L>
MICA_DEVICE void attend(const AttentionArgs& a, const Block<L>& b, int work,
                        Where where = Where::here()) {
  const int kv_head = work % a.kv_heads;
  const AttentionRange range = range_of(a, *b.item);
  Query<L> query;
  Sums<L> sums;
  clear(sums);
  constexpr int kTogether = L::kTogether;
  constexpr int kAhead = L::kQuantized ? L::kRing : L::kRing - kTogether;
  int step = 0, slot = 0;  // a step is a tile of keys or of values; slot: of the next to work on
  const auto load = [&](int to) {
    MICA_UNROLL
    for (int i = 0; i < kTogether; ++i) {
      if constexpr (L::kQuantized)
        load_codes(a, b, range, kv_head, step + i, to + i, where);
      else
        load_tile(a, b, range, kv_head, step + i, to + i, where);
    }
    cp_async_commit();
    step += kTogether;
  };
  if (range.begin < range.end) load_query(a, b, kv_head, where);
  MICA_ROLLED
  while (step < kAhead) load(step);
  cp_async_wait<kAhead / kTogether - 1>(where);
  sync_threads(where);
  if (range.begin < range.end) take_query(a, b, query, where);
  // Waits for the next tiles. The slots of those before are free then, and filled again.
  const auto next = [&] {
    cp_async_wait<kAhead / kTogether - 1>(where);
    sync_threads(where);
    const typename L::T* tiles = b.tiles;
    if constexpr (L::kQuantized) {
      MICA_UNROLL
      for (int i = 0; i < kTogether; ++i) widen_codes(a, b, slot + i, i);
      sync_threads(where);
      load(slot);
      slot = slot + kTogether == L::kRing ? 0 : slot + kTogether;
    } else {
      load(slot == 0 ? kAhead : slot - kTogether);
      tiles += slot * L::kSlot;
      slot = slot == kAhead ? 0 : slot + kTogether;
    }
    return tiles;
  };
  bool total = false;
  MICA_ROLLED
  for (int tile = range.begin; tile < range.end; ++tile) {
    const int first = tile * L::kPositions;
    const bool active = first <= query.max_position &&
                        first + L::kPositions - 1 >= lowest_seen(a, query.min_position);
    uint32_t weights[L::kPositions / 16][4];
    const typename L::T* keys = next();
    if (active) weigh(a, b, first, query, keys, sums, weights, where);
    const typename L::T* values = kTogether == 2 ? keys + L::kSlot : next();
    if (active) {
      if constexpr (kTogether == 2) b.sync_rows(where);  // else next() did
      multiply_values(a, b, values, sums, weights, where);
    }
    const bool last = tile + 1 == range.end;
    if (a.fold && (last ? total : (tile + 1) % b.item->split_tiles == 0)) {
      end_split(a, b, total, last, sums);
      total = true;
    }
  }
  if (!total)
    for (int i = 0; i < 2; ++i) sums.highest[i] *= a.factor;
  write_rows(a, b, work, sums);
}

template <typename L>
MICA_KERNEL MICA_LAUNCH_BOUNDS(L::kThreads, L::kBlocks) void attention_mma_kernel(AttentionArgs a) {
  using T = typename L::T;
  Shared shared;
  Block<L> b;
  b.query = shared.take<T>(L::kQuerySize);
  b.tiles = shared.take<T>(L::kTiles * L::kSlot);
  b.weights =
      L::kQueryInRegisters || L::kWeightSize == 0 ? b.query : shared.take<T>(L::kWeightSize);
  b.highest = L::kWarpsD > 1 ? shared.take<float>(L::kScoreWarps * L::kRows) : nullptr;
  b.item = shared.take<AttentionItem>(1);
  if constexpr (L::kQuantized)
    b.coded = shared.take<std::byte>(
        static_cast<size_t>(L::kRing * L::coded_slot(a.code_bytes, a.groups)));
  b.thread = static_cast<int>(thread_index().x);
  b.lane = lane_index();
  b.warp_m = warp_index() / L::kWarpsD;
  b.warp_d = warp_index() % L::kWarpsD;
  clear_padding(a, b);
  grid_dependency_wait();
  const int blocks = static_cast<int>(grid_size().x);
  for (int work = static_cast<int>(block_index().x); work < a.items * a.kv_heads; work += blocks) {
    if (warp_index() == 0) find_item<false>(a, work / a.kv_heads, b.item);
    sync_threads();
    if (b.item->sequence < 0) break;
    attend(a, b, work);
    if (work + blocks < a.items * a.kv_heads) sync_threads();  // before the item changes
  }
  grid_dependency_launch();
}

template <typename L>
AttentionKernel attention_kernel(const AttentionArgs& a) {
  return {.tile_rows = L::kRows,
          .tile_positions = L::kPositions,
          .threads = L::kThreads,
          .shared_bytes = L::kShared + L::coded_bytes(a.code_bytes, a.groups),
          .fold_floats = L::kFoldFloats,
          .start = [](gpu::Stream& stream, const AttentionArgs& args, uint32_t blocks) {
            launch(stream,
                   {L::kQuantized ? "attention_mma_quantized" : "attention_mma",
                    {blocks},
                    {L::kThreads},
                    L::kShared + L::coded_bytes(args.code_bytes, args.groups)},
                   attention_mma_kernel<L>, args);
          }};
}

template <typename T, bool kQuantized>
AttentionKernel attention_mma(const AttentionArgs& a, bool wide) {
  const auto pick = [&]<int kHead>() {
    return wide ? attention_kernel<Tiling<T, kHead, true, kQuantized>>(a)
                : attention_kernel<Tiling<T, kHead, false, kQuantized>>(a);
  };
  if (a.size <= 64) return pick.template operator()<64>();
  if (a.size <= 128) return pick.template operator()<128>();
  if (a.size <= 256) return pick.template operator()<256>();
  return pick.template operator()<512>();
}

}  // namespace mica::MICA_GPU

// The product of up to 4 slots, decoding: bound by the bytes of the weights.
//
// A block takes one row tile, each of its warps a segment of K. A warp has 2 to 4 units of weights
// on their way to its registers: with two blocks an SM keeps some 30 KB in flight, where an H100
// needs 25 (3.35 TB/s, 1 us). A unit of 4 bits takes 56 instructions, 14 cycles of an SM (E2M1: 28
// to 34); its 576 bytes come in 38 cycles on an H100 and 27 on an H200.
#pragma once

#include "ops/linear/cuda_integer_warps.h"

namespace mica::MICA_GPU {

constexpr int kColumnDepth = gpu::kSpareUnits;  // units of activations on their way
// Units of weights on their way; even.
template <IntegerFormat kFormat>
inline constexpr int kWeightDepth = kBitsOf<kFormat> == 8 ? 2 : 4;

template <IntegerFormat kFormat>
struct UnitWords {
  CodeWords<kFormat> codes;
  ScaleWords scales;
};

// A lane's way through a row tile's weights, unit by unit; `u` is the unit's parity.
template <IntegerFormat kFormat>
struct UnitStream {
  StreamedPlace codes, scales;  // of the chunk that is loaded next, the lane's places
  UnitSteps steps;

  MICA_DEVICE void load(int u, ScaleKind kind, UnitWords<kFormat>& words) const {
    load_codes<kFormat>(codes + u * steps.code_step, lane_index(), words.codes);
    load_scales<kFormat>(scales + u * steps.scale_step, kind, words.scales);
  }
  MICA_DEVICE void advance(int u) {
    if (u != gpu::kChunkUnits - 1) return;
    codes = codes + steps.chunk_bytes;
    scales = scales + steps.chunk_bytes;
  }
};

template <IntegerFormat kFormat>
MICA_DEVICE UnitStream<kFormat> open_units(const ProductTarget& t, const StreamPlace& place,
                                           int begin) {
  UnitStream<kFormat> stream;
  stream.steps = steps_of(t.layout);
  const StreamedPlace chunk = {weights_of(t, place.expert, place.first_tile) +
                               static_cast<size_t>(begin) * t.layout.chunk_bytes};
  stream.codes = chunk + (stream.steps.code_start + lane_index() * CodeWords<kFormat>::kLaneStep);
  stream.scales = chunk + lane_index() / 4 * scale_bytes_of<kFormat>(stream.steps.kind);
  return stream;
}

// Units of a segment, the first of which are on their way to `words`.
template <IntegerFormat kFormat, ScaleCase kCase>
MICA_DEVICE void multiply_units(UnitStream<kFormat>& weights, ColumnStream<true>& columns,
                                int units, UnitWords<kFormat> (&words)[kWeightDepth<kFormat>],
                                UnitSums<true>& sums) {
  constexpr int kDepth = kWeightDepth<kFormat>;
  const ScaleKind kind = known<kCase>(weights.steps.kind);
  UnitColumns<true> x[kColumnDepth];
  MICA_UNROLL
  for (UnitColumns<true>& column : x) {
    columns.take<kFormat>(column, 0, kind.halves);
    columns.advance();
  }
  MICA_ROLLED
  for (int left = units; left > 0; left -= kDepth) {
    MICA_UNROLL
    for (int i = 0; i < kDepth; ++i) {
      if (i >= left) break;
      const int u = i % gpu::kChunkUnits;
      UnitWeights<kFormat> w;
      unpack_codes<kFormat>(words[i].codes, w.codes);
      const StreamedPlace scales =
          weights.scales +
          (u * weights.steps.scale_step - kDepth / gpu::kChunkUnits * weights.steps.chunk_bytes);
      w.scales = unpack_scales<kFormat>(words[i].scales, scales, kind);
      add_unit<kFormat>(w, x[i % kColumnDepth], kind.halves, sums);
      // After the last use of what is loaded over: it must not go by way of other registers.
      if (i + kDepth < left) weights.load(u, kind, words[i]);
      weights.advance(u);
      columns.take<kFormat>(x[i % kColumnDepth], 0, kind.halves);
      columns.advance();
    }
  }
}

// Asks for the first units before the activations are there, then multiplies.
template <IntegerFormat kFormat, ScaleCase kCase>
MICA_DEVICE void multiply_few(const Product& p, StreamPlace& place, StreamPlace* kept,
                              UnitSums<true>& sums) {
  const ProductTarget& t = p.target[place.target];
  const WarpSegment segment = warp_segment(t.layout);
  auto weights = open_units<kFormat>(t, place, segment.begin);
  UnitWords<kFormat> words[kWeightDepth<kFormat>] = {};
  MICA_UNROLL
  for (int i = 0; i < kWeightDepth<kFormat>; ++i) {
    const int u = i % gpu::kChunkUnits;
    if (i < segment.units) weights.load(u, known<kCase>(weights.steps.kind), words[i]);
    weights.advance(u);
  }
  grid_dependency_wait();
  place.taken = taken_slots(p.slots, place.slot_tile);
  if (thread_index().x == 0) *kept = place;
  if (segment.units <= 0) return;
  auto columns = open_columns<true>(p, place.slot_tile, place.taken, segment.first_unit);
  multiply_units<kFormat, kCase>(weights, columns, segment.units, words, sums);
}

template <IntegerFormat kFormat>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kStreamThreads, 2) void few_kernel(const Product p) {
  constexpr int kSums = gpu::kRowTile * kFewSlots;
  Shared shared;
  auto* kept = shared.take<StreamPlace>(1);
  auto* partial = shared.take<float>(kStreamWarps * kSums);
  StreamPlace place;
  if (!find_place<1>(p, place)) return;
  UnitSums<true> sums = {};
  with_scale_case<kFormat>(p.target[place.target].layout, [&]<ScaleCase kCase>() {
    multiply_few<kFormat, kCase>(p, place, kept, sums);
  });
  grid_dependency_launch();
  write_sums<true, gpu::kRowTile>(sums, 0, 0, partial + warp_index() * kSums);
  sync_threads();
  finish_sums<gpu::kRowTile, kFewSlots>(p, *kept, partial);
}

template <IntegerFormat kFormat>
void start_few(gpu::Stream& stream, const Product& p) {
  const size_t bytes =
      shared_bytes<StreamPlace>(1) + shared_bytes<float>(kStreamWarps * gpu::kRowTile * kFewSlots);
  launch(stream,
         {"integer_few",
          {static_cast<uint32_t>(p.row_blocks * p.slots.tiles)},
          {kStreamThreads},
          bytes},
         few_kernel<kFormat>, p);
}

}  // namespace mica::MICA_GPU

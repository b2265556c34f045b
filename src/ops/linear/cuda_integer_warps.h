// What the products of few slots share: a block's 8 warps have a segment of K each, and their sums
// are added through shared memory.
#pragma once

#include "ops/linear/cuda_integer_product.h"

namespace mica::MICA_GPU {

constexpr int kStreamWarps = gpu::kSegments;
constexpr int kStreamThreads = kStreamWarps * kWarpSize;

// What a block works on; it waits in shared memory while the registers hold sums.
struct StreamPlace {
  int target, first_tile, slot_tile, expert;
  uint32_t taken;  // slots
};

// The block's place: kTiles row tiles of a target, all K, a tile of slots. False where it has no
// work; then it may return.
template <int kTiles>
MICA_DEVICE bool find_place(const Product& p, StreamPlace& place) {
  const int row_block = static_cast<int>(block_index().x) / p.slots.tiles;
  place.slot_tile = static_cast<int>(block_index().x) % p.slots.tiles;
  place.target = target_of(p, row_block);
  place.first_tile = (row_block - p.target[place.target].first_block) * kTiles;
  place.expert = 0;
  if (!p.slots.experts) return true;
  grid_dependency_wait();
  place.expert = expert_of(p.slots, place.slot_tile);
  return place.expert >= 0 && taken_slots(p.slots, place.slot_tile) != 0;
}

// A warp's segment.
struct WarpSegment {
  int begin, end;         // chunks
  int first_unit, units;  // all of them
};
MICA_DEVICE WarpSegment warp_segment(const gpu::IntegerLayout& l) {
  WarpSegment s;
  s.begin = segment_begin(warp_index(), l.chunks());
  s.end = segment_begin(warp_index() + 1, l.chunks());
  s.first_unit = s.begin * gpu::kChunkUnits;
  const int end = s.end * gpu::kChunkUnits;
  s.units = (end < l.units ? end : l.units) - s.first_unit;
  return s;
}

// Where a lane finds activations, from unit to unit. Lanes of empty slots read those of the first
// one of their eight, which costs no memory traffic; what they compute is not stored.
template <bool kFour>
struct ColumnStream {
  static constexpr int kEights = kFour ? 1 : 2;
  const std::byte* unit;
  int unit_bytes;
  int codes[kEights], sums[kEights];

  // The next unit's. A few beyond the last one may be read (kSpareUnits).
  template <IntegerFormat kFormat>
  MICA_DEVICE void take(UnitColumns<kFour>& x, int eight, bool halves) const {
    take_columns<kFormat, kFour>(x, unit + codes[eight], unit + sums[eight], halves);
  }
  MICA_DEVICE void advance() { unit += unit_bytes; }
};

template <bool kFour>
MICA_DEVICE ColumnStream<kFour> open_columns(const Product& p, int slot_tile, uint32_t taken,
                                             int first_unit) {
  ColumnStream<kFour> x;
  const int lane = lane_index(), slot = kFour ? lane / 8 : lane / 4, pair = lane % 4;
  x.unit_bytes = static_cast<int>(p.slots.unit_bytes());
  x.unit = p.activations + static_cast<size_t>(slot_tile) * p.slots.tile_bytes(p.units) +
           static_cast<size_t>(first_unit) * p.slots.unit_bytes();
  MICA_UNROLL
  for (int e = 0; e < ColumnStream<kFour>::kEights; ++e) {
    const uint32_t own = taken >> 8 * e;
    const int own_slot = own >> slot & 1 ? slot : 0;
    const int own_pair = own >> pair * UnitColumns<kFour>::kSlots & 1 ? pair : 0;
    x.codes[e] = e * 1024 + codes_place<kFour>(own_slot, lane);
    x.sums[e] = e * 128 + sums_place<kFour>(p.slots.size, own_pair);
  }
  return x;
}

// The lane's results of a row tile and an eight (a four) into the warp's [slot][row].
template <bool kFour, int kRows>
MICA_DEVICE void write_sums(const UnitSums<kFour>& sums, int tile, int eight, float* out) {
  constexpr int kSlots = UnitColumns<kFour>::kSlots;
  const int g = lane_index() / 4, t = lane_index() % 4;
  MICA_UNROLL
  for (int i = 0; i < 2 * kSlots; ++i) {
    const int slot = eight * 8 + t * kSlots + i % kSlots;
    out[slot * kRows + tile * gpu::kRowTile + i / kSlots * 8 + g] = sums.value[i];
  }
}

// Adds the segments' sums, [warp][slot][row], and stores them.
template <int kRows, int kSlots>
MICA_DEVICE void finish_sums(const Product& p, const StreamPlace& place, const float* partial) {
  const ProductTarget& t = p.target[place.target];
  for (int i = static_cast<int>(thread_index().x); i < kRows * kSlots; i += kStreamThreads) {
    const int n = place.first_tile * gpu::kRowTile + i % kRows, slot = i / kRows;
    if (n >= t.layout.rows || !(place.taken >> slot & 1)) continue;
    float sum = 0;
    MICA_UNROLL
    for (int w = 0; w < kStreamWarps; ++w) sum += partial[w * kRows * kSlots + i];
    store_result(t, place.expert, n, output_row(p.slots, place.slot_tile, slot), sum);
  }
}

}  // namespace mica::MICA_GPU

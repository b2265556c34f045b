// The product of more than 16 slots: bound by the f32 sums of groups, some 40 cycles of an SM for
// 16 rows, 64 columns and 32 slots, beside 16 mma of 2 to 4 cycles.
//
// A block takes 128 rows and 32 slots; each of its 4 warps two row tiles. Chunks of weights, a
// warp's own, and of activations, for all warps, go through a ring of shared memory, one barrier a
// chunk. Where blocks are too few, K is split by segments, and the last block adds their sums in
// order.
#pragma once
#include "ops/linear/cuda_integer_product.h"

namespace mica::MICA_GPU {

constexpr int kTileWarps = 4, kTileThreads = kTileWarps * kWarpSize;
constexpr int kWarpTiles = 2;                           // row tiles of a warp
constexpr int kBlockTiles = kTileRows / gpu::kRowTile;  // of a block
constexpr int kEights = kTileSlots / 8;
constexpr int kActivationUnit = kTileSlots * 144,
              kActivationChunk = gpu::kChunkUnits * kActivationUnit;  // bytes
static_assert(kBlockTiles == kTileWarps * kWarpTiles);

// A lane's results: rows g and g + 8 of a row tile, slots 2t and 2t + 1 of eight.
struct TileSums {
  UnitSums<false> of[kWarpTiles][kEights];
};

// What the block works on.
struct TileWork {
  const ProductTarget* target;
  int expert, slot_tile, first_tile;
  int eights;                         // of the slots, up to the last that is taken
  const std::byte* tile[kWarpTiles];  // the warp's weights
  const std::byte* activations;
  std::byte* weight_ring;      // [stages][kBlockTiles][chunk]
  std::byte* activation_ring;  // [stages][kActivationChunk]
};

MICA_DEVICE std::byte* weight_place(const TileWork& w, int stage, int r) {
  const int tile = stage * kBlockTiles + warp_index() * kWarpTiles + r;
  return w.weight_ring + static_cast<uint32_t>(tile) * w.target->layout.chunk_bytes;
}

MICA_DEVICE void copy_weights(const TileWork& w, int chunk, int stage) {
  const gpu::IntegerLayout& l = w.target->layout;
  const bool half = l.units % gpu::kChunkUnits && chunk == l.chunks() - 1;
  const uint32_t bytes = half ? l.scale_bytes + l.code_bytes : l.chunk_bytes;
  const size_t from = static_cast<size_t>(chunk) * l.chunk_bytes;
  MICA_UNROLL
  for (int r = 0; r < kWarpTiles; ++r)
    for (uint32_t i = static_cast<uint32_t>(lane_index()) * 16; i < bytes; i += kWarpSize * 16)
      cp_async<16>(weight_place(w, stage, r) + i, w.tile[r] + from + i);
}

// Of the taken eights: their codes, then their sums.
MICA_DEVICE void copy_activations(const TileWork& w, int chunk, int stage) {
  const int units = w.target->layout.units - chunk * gpu::kChunkUnits;
  std::byte* to = w.activation_ring + stage * kActivationChunk;
  const std::byte* from = w.activations + static_cast<size_t>(chunk) * kActivationChunk;
  const int pieces = 72 * w.eights;
  for (int u = 0; u < gpu::kChunkUnits && u < units; ++u)
    for (int i = static_cast<int>(thread_index().x); i < pieces; i += kTileThreads) {
      const int at =
          u * kActivationUnit + (i < 64 * w.eights ? i : i + 64 * (kEights - w.eights)) * 16;
      cp_async<16>(to + at, from + at);
    }
}

template <IntegerFormat kFormat>
MICA_DEVICE void multiply_chunk(const TileWork& work, int units, int stage, TileSums& sums) {
  const gpu::IntegerLayout& l = work.target->layout;
  const bool halves = l.group == 32;
  const int lane = lane_index();
  MICA_ROLLED
  for (int u = 0; u < units; ++u) {
    UnitWeights<kFormat> w[kWarpTiles];
    MICA_UNROLL
    for (int r = 0; r < kWarpTiles; ++r)
      w[r] = take_unit<kFormat>(l, weight_place(work, stage, r), u, halves);
    const std::byte* unit = work.activation_ring + stage * kActivationChunk + u * kActivationUnit;
    MICA_UNROLL
    for (int e = 0; e < kEights; ++e) {
      if (e >= work.eights) continue;
      UnitColumns<false> x;
      x.part[0] = load16(unit + e * 1024 + lane * 16);
      x.part[1] = load16(unit + e * 1024 + 512 + lane * 16);
      take_sums<false, kAffine<kFormat>>(x, unit + kTileSlots * 128 + e * 128, halves);
      MICA_UNROLL
      for (int r = 0; r < kWarpTiles; ++r) add_unit<kFormat, false>(w[r], x, halves, sums.of[r][e]);
    }
  }
}

MICA_DEVICE void add_segment(TileSums& total, const TileSums& segment) {
  MICA_UNROLL
  for (int r = 0; r < kWarpTiles; ++r) {
    MICA_UNROLL
    for (int e = 0; e < kEights; ++e) {
      MICA_UNROLL
      for (int i = 0; i < 4; ++i) total.of[r][e].value[i] += segment.of[r][e].value[i];
    }
  }
}

// Of the block's sums of a segment, those of this thread for one eight: [r * kEights + e][thread].
MICA_DEVICE float* partial_place(float* partials, int item, int segment, int r, int e) {
  const int64_t block = static_cast<int64_t>(item) * gpu::kSegments + segment;
  return partials + block * kTileFloats +
         ((r * kEights + e) * kTileThreads + static_cast<int>(thread_index().x)) * 4;
}

MICA_DEVICE void store_partial(const TileWork& w, float* partials, int item, int segment,
                               const TileSums& sums) {
  MICA_UNROLL
  for (int r = 0; r < kWarpTiles; ++r) {
    MICA_UNROLL
    for (int e = 0; e < kEights; ++e) {
      if (e >= w.eights) continue;
      Bytes16 v;
      for (int i = 0; i < 4; ++i) v.word[i] = as_bits(sums.of[r][e].value[i]);
      store16(partial_place(partials, item, segment, r, e), v);
    }
  }
}

MICA_DEVICE void add_partial(const TileWork& w, float* partials, int item, int segment,
                             TileSums& total) {
  MICA_UNROLL
  for (int r = 0; r < kWarpTiles; ++r) {
    MICA_UNROLL
    for (int e = 0; e < kEights; ++e) {
      if (e >= w.eights) continue;
      const Bytes16 v = load16(partial_place(partials, item, segment, r, e));
      for (int i = 0; i < 4; ++i) total.of[r][e].value[i] += as_float(v.word[i]);
    }
  }
}

// Whether this block is the last of its item, whose segments are all stored then.
MICA_DEVICE bool comes_last(const Product& p, int item, uint32_t* flag) {
  fence();
  sync_threads();
  if (thread_index().x == 0) *flag = atom_add(&p.counters[item], 1);
  sync_threads();
  if (*flag != static_cast<uint32_t>(p.parts) - 1) return false;
  fence();
  return true;
}

MICA_DEVICE void store_sums(const Product& p, const TileWork& w, uint32_t taken,
                            const TileSums& sums) {
  const int g = lane_index() / 4, t = lane_index() % 4;
  MICA_UNROLL
  for (int r = 0; r < kWarpTiles; ++r) {
    const int first = (w.first_tile + warp_index() * kWarpTiles + r) * gpu::kRowTile + g;
    MICA_UNROLL
    for (int e = 0; e < kEights; ++e) {
      MICA_UNROLL
      for (int j = 0; j < 2; ++j) {
        const int slot = e * 8 + 2 * t + j;
        if (!(taken >> slot & 1)) continue;
        const int row = output_row(p.slots, w.slot_tile, slot);
        for (int i = 0; i < 2; ++i)
          if (first + 8 * i < w.target->layout.rows)
            store_result(*w.target, w.expert, first + 8 * i, row, sums.of[r][e].value[2 * i + j]);
      }
    }
  }
}

MICA_DEVICE int eights_of(uint32_t taken) {
  return taken >> 24 ? 4 : taken >> 16 ? 3 : taken >> 8 ? 2 : taken ? 1 : 0;
}

MICA_DEVICE void open_tiles(const Product& p, TileWork& w) {
  const gpu::IntegerLayout& l = w.target->layout;
  MICA_UNROLL
  for (int r = 0; r < kWarpTiles; ++r) {
    const int tile = w.first_tile + warp_index() * kWarpTiles + r;
    w.tile[r] = w.target->weights + static_cast<size_t>(w.expert) * w.target->expert_bytes +
                static_cast<size_t>(tile < l.row_tiles ? tile : l.row_tiles - 1) * l.tile_bytes;
  }
  w.activations = p.activations + static_cast<size_t>(w.slot_tile) * p.slots.tile_bytes(p.units);
}

// The chunks that a block multiplies, and their way through the ring.
struct TileLoop {
  int first, begin, end;  // segment and chunks
  int stages;

  MICA_DEVICE int ahead() const { return stages - 1; }
  MICA_DEVICE int next(int stage) const { return stage + 1 < stages ? stage + 1 : 0; }
  MICA_DEVICE void wait() const {
    if (stages == 2)
      cp_async_wait<0>();
    else
      cp_async_wait<1>();
  }
};

// total: the sums of all segments, where the block has them all.
template <IntegerFormat kFormat>
MICA_DEVICE void multiply_segments(const Product& p, const TileWork& w, const TileLoop& loop,
                                   int item, TileSums& total) {
  const int chunks = w.target->layout.chunks();
  TileSums sums = {};
  int segment = loop.first, stage = 0, free_stage = loop.ahead();
  MICA_ROLLED
  for (int chunk = loop.begin; chunk < loop.end; ++chunk) {
    while (segment_begin(segment + 1, chunks) <= chunk) ++segment;
    loop.wait();
    sync_threads();
    if (chunk + loop.ahead() < loop.end) {
      copy_weights(w, chunk + loop.ahead(), free_stage);
      copy_activations(w, chunk + loop.ahead(), free_stage);
    }
    cp_async_commit();
    const int units = w.target->layout.units - chunk * gpu::kChunkUnits;
    multiply_chunk<kFormat>(w, units < gpu::kChunkUnits ? units : gpu::kChunkUnits, stage, sums);
    if (chunk + 1 == segment_begin(segment + 1, chunks)) {
      if (p.parts == 1)
        add_segment(total, sums);
      else
        store_partial(w, p.partials, item, segment, sums);
      sums = {};
    }
    stage = loop.next(stage);
    free_stage = loop.next(free_stage);
  }
}

// Adds the segments that all blocks of the item stored.
MICA_DEVICE void add_partials(const Product& p, const TileWork& w, int item, TileSums& total) {
  const int chunks = w.target->layout.chunks();
  MICA_ROLLED
  for (int s = 0; s < gpu::kSegments; ++s)
    if (segment_begin(s, chunks) < segment_begin(s + 1, chunks))
      add_partial(w, p.partials, item, s, total);
}

template <IntegerFormat kFormat>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kTileThreads, 2) void tile_kernel(const Product p) {
  // Blocks side by side take the same weights, so that L2 serves all but one.
  const int index = static_cast<int>(block_index().x);
  const int part = index / p.slots.tiles % p.parts;
  const int row_block = index / p.slots.tiles / p.parts;
  TileWork w = {};
  w.target = &p.target[target_of(p, row_block)];
  w.slot_tile = index % p.slots.tiles;
  w.first_tile = (row_block - w.target->first_block) * kBlockTiles;
  const int item = row_block * p.slots.tiles + w.slot_tile;
  Shared shared;
  auto* flag = shared.take<uint32_t>(1);
  w.activation_ring = shared.take<std::byte>(static_cast<size_t>(p.stages) * kActivationChunk);
  w.weight_ring = shared.take<std::byte>(static_cast<size_t>(p.stages * kBlockTiles) *
                                         w.target->layout.chunk_bytes);
  if (p.slots.experts) {
    grid_dependency_wait();
    w.expert = expert_of(p.slots, w.slot_tile);
    if (w.expert < 0 || taken_slots(p.slots, w.slot_tile) == 0) return;
  }
  open_tiles(p, w);

  const int chunks = w.target->layout.chunks(), segments = gpu::kSegments / p.parts;
  const TileLoop loop = {part * segments, segment_begin(part * segments, chunks),
                         segment_begin((part + 1) * segments, chunks), p.stages};
  for (int i = 0; i < loop.ahead() && loop.begin + i < loop.end; ++i)
    copy_weights(w, loop.begin + i, i);
  grid_dependency_wait();
  const uint32_t taken = taken_slots(p.slots, w.slot_tile);
  w.eights = eights_of(taken);
  for (int i = 0; i < loop.ahead(); ++i) {
    if (loop.begin + i < loop.end) copy_activations(w, loop.begin + i, i);
    cp_async_commit();
  }
  TileSums total = {};
  multiply_segments<kFormat>(p, w, loop, item, total);
  grid_dependency_launch();
  if (p.parts > 1) {
    if (!comes_last(p, item, flag)) return;
    add_partials(p, w, item, total);
  }
  store_sums(p, w, taken, total);
}

template <IntegerFormat kFormat>
void start_tiles(gpu::Stream& stream, const Product& p) {
  uint32_t chunk = 0;
  for (int i = 0; i < p.targets; ++i)
    if (p.target[i].layout.chunk_bytes > chunk) chunk = p.target[i].layout.chunk_bytes;
  const size_t bytes = shared_bytes<uint32_t>(1) +
                       shared_bytes<std::byte>(static_cast<size_t>(p.stages) * kActivationChunk) +
                       shared_bytes<std::byte>(static_cast<size_t>(p.stages * kBlockTiles) * chunk);
  launch(stream,
         {"integer_tiles",
          {static_cast<uint32_t>(p.row_blocks * p.slots.tiles * p.parts)},
          {kTileThreads},
          bytes},
         tile_kernel<kFormat>, p);
}

}  // namespace mica::MICA_GPU

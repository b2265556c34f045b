// The product of more than 16 slots: bound by the f32 sums of groups, some 40 cycles of an SM for
// 16 rows, 64 columns and 32 slots, beside 16 mma of 2 to 4 cycles.
//
// A block takes 128 rows and 32 slots; each of its 4 warps two row tiles. Chunks of weights, which
// are a warp's own, and of activations, which all warps read, go through a ring of shared memory
// with one barrier a chunk. Where such blocks are too few for the GPU, K is split among several by
// segments, and the block that comes last adds the segments' sums in their order.
#pragma once

#include "ops/linear/cuda_integer_tile_stream.h"

namespace mica::MICA_GPU {

// The block's ring: [stage]{weights [kBlockTiles][chunk], activations}.
struct TileRing {
  SharedPlace first;
  int weight_bytes;  // of a stage
  int stages;

  MICA_DEVICE int stage_bytes() const { return weight_bytes + kActivationChunk; }
  MICA_DEVICE SharedPlace stage(int i) const { return first + i * stage_bytes(); }
  MICA_DEVICE int next(int i) const { return i + 1 < stages ? i + 1 : 0; }
  MICA_DEVICE void wait() const {
    if (stages == 2)
      cp_async_wait<0>();
    else
      cp_async_wait<1>();
  }
};

// Eights of slots that go without a branch between them, so that their products overlap; nvfp4 has
// four times the products of a unit.
template <IntegerFormat kFormat>
inline constexpr int kTogether = kFormat == IntegerFormat::kNvfp4 ? 1 : 2;

template <IntegerFormat kFormat, ScaleCase kCase>
MICA_DEVICE void multiply_chunk(const UnitSteps& steps, SharedPlace weights,
                                SharedPlace activations, int units, int eights, TileSums& sums) {
  const ScaleKind kind = known<kCase>(steps.kind);
  const int lane = lane_index();
  SharedPlace codes = weights + steps.code_start, scales = weights;
  SharedPlace x_codes = activations + lane * 16;
  SharedPlace x_sums = activations + sums_place<false>(kTileSlots, lane % 4);
  MICA_ROLLED
  for (int u = 0; u < units; ++u) {
    UnitWeights<kFormat> w[kWarpTiles];
    MICA_UNROLL
    for (int r = 0; r < kWarpTiles; ++r)
      w[r] = take_unit<kFormat>(codes + r * steps.chunk_bytes, scales + r * steps.chunk_bytes, lane,
                                kind);
    MICA_UNROLL
    for (int first = 0; first < kEights; first += kTogether<kFormat>) {
      if (first >= eights) continue;
      MICA_UNROLL
      for (int e = first; e < first + kTogether<kFormat>; ++e) {
        UnitColumns<false> x;
        take_columns<kFormat, false>(x, x_codes + e * 1024, x_sums + e * 128, kind.halves);
        MICA_UNROLL
        for (int r = 0; r < kWarpTiles; ++r)
          add_unit<kFormat, false>(w[r], x, kind.halves, sums.of[r][e]);
      }
    }
    codes = codes + steps.code_step;
    scales = scales + steps.scale_step;
    x_codes = x_codes + kActivationUnit;
    x_sums = x_sums + kActivationUnit;
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
  return taken >> 24 ? 4 : taken >> 16 ? 3 : taken >> 8 ? 2 : 1;
}

// Chunks `begin` to `end` - 1, which start with a segment. total: the sums of all segments, where
// the block has them all; else each segment's sums are stored.
template <IntegerFormat kFormat, ScaleCase kCase>
MICA_DEVICE void multiply_segments(const Product& p, const TileWork& w, const TileRing& ring,
                                   TileStream<kFormat>& stream, int item, int begin, int end,
                                   TileSums& total) {
  const UnitSteps steps = steps_of(w.target->layout);
  const int chunks = w.target->layout.chunks(), own = warp_index() * kWarpTiles * steps.chunk_bytes;
  const int last_units = stream.last_units;
  TileSums sums = {};
  int segment = 0, stage = 0, free_stage = ring.stages - 1;
  MICA_ROLLED
  for (int chunk = begin; chunk < end; ++chunk) {
    while (segment_begin(segment + 1, chunks) <= chunk) ++segment;
    ring.wait();
    sync_threads();
    const SharedPlace free = ring.stage(free_stage);
    stream.copy_weights(free);
    stream.copy_activations(free + ring.weight_bytes);
    cp_async_commit();
    const SharedPlace now = ring.stage(stage);
    multiply_chunk<kFormat, kCase>(steps, now + own, now + ring.weight_bytes,
                                   chunk + 1 < end ? gpu::kChunkUnits : last_units, w.eights, sums);
    if (chunk + 1 == segment_begin(segment + 1, chunks)) {
      if (p.parts == 1)
        add_segment(total, sums);
      else
        store_partial(w, p.partials, item, segment, sums);
      sums = {};
    }
    stage = ring.next(stage);
    free_stage = ring.next(free_stage);
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
  const int weight_bytes = kBlockTiles * static_cast<int>(w.target->layout.chunk_bytes);
  auto* memory = shared.take<std::byte>(static_cast<size_t>(p.stages) *
                                        static_cast<size_t>(weight_bytes + kActivationChunk));
  const TileRing ring = {shared_place(memory), weight_bytes, p.stages};
  if (p.slots.experts) {
    grid_dependency_wait();
    w.expert = expert_of(p.slots, w.slot_tile);
    if (w.expert < 0 || taken_slots(p.slots, w.slot_tile) == 0) return;
  }

  const int chunks = w.target->layout.chunks(), segments = gpu::kSegments / p.parts;
  const int begin = segment_begin(part * segments, chunks);
  const int end = segment_begin((part + 1) * segments, chunks);
  auto stream = open_tiles<kFormat>(p, w, begin, end);
  for (int i = 0; i < ring.stages - 1; ++i) stream.copy_weights(ring.stage(i));
  grid_dependency_wait();
  const uint32_t taken = taken_slots(p.slots, w.slot_tile);
  w.eights = eights_of(taken);
  for (int i = 0; i < ring.stages - 1; ++i) {
    stream.copy_activations(ring.stage(i) + ring.weight_bytes);
    cp_async_commit();
  }
  TileSums total = {};
  with_scale_case<kFormat>(w.target->layout, [&]<ScaleCase kCase>() {
    multiply_segments<kFormat, kCase>(p, w, ring, stream, item, begin, end, total);
  });
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
  const size_t bytes =
      shared_bytes<uint32_t>(1) + shared_bytes<std::byte>(static_cast<size_t>(p.stages) *
                                                          (kBlockTiles * chunk + kActivationChunk));
  launch(stream,
         {"integer_tiles",
          {static_cast<uint32_t>(p.row_blocks * p.slots.tiles * p.parts)},
          {kTileThreads},
          bytes},
         tile_kernel<kFormat>, p);
}

}  // namespace mica::MICA_GPU

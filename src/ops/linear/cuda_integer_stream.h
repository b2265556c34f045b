// The product of 5 to 16 slots: still bound by the bytes of the weights, though activations come to
// matter: a block takes two row tiles, so that it reads each activation for 32 rows.
//
// Each of a block's 8 warps has a segment of K. It streams its chunks through a ring of shared
// memory of its own by cp.async, without barriers, and holds the activations of the next unit in
// registers. Two blocks of an SM have about 70 KB of weights on their way, where an H100 needs 25.
// Two tiles' unit of 4 bits takes some 160 instructions for eight slots, 40 cycles of an SM; its
// 1152 bytes come in 76 cycles on an H100.
#pragma once

#include "ops/linear/cuda_integer_warps.h"

namespace mica::MICA_GPU {

constexpr int kStreamTiles = 2;  // row tiles of a block
constexpr int kStreamEights = kStreamSlots / 8;
// Chunks of a warp's ring, so that 8 bits fit the 99 KB of a block too.
template <IntegerFormat kFormat>
inline constexpr int kStreamStages = kBitsOf<kFormat> <= 4 ? 3 : 2;

// Blocks of an SM that registers leave room for. Where an SM has 100 KB of shared memory (8.6, 8.9,
// 12), one takes most of it; on 10.0, nvfp4 would spill.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ != 800 && __CUDA_ARCH__ != 900
constexpr int kStreamBlocks = 1;
#else
constexpr int kStreamBlocks = 2;
#endif

// A lane's copies of a warp's share of the weights, the chunks of its segment one after another.
template <IntegerFormat kFormat>
struct ChunkStream {
  const std::byte* next[kStreamTiles];  // the lane's place in the chunk to be copied next
  int left;                             // chunks to be copied
  int chunk_bytes, last_bytes;          // of a chunk, and of the last one to be copied

  // To the lane's place in a stage of the warp's ring, [tile][chunk].
  MICA_DEVICE void copy(SharedPlace stage) {
    if (left > 0) {
      const int bytes = left == 1 ? last_bytes : chunk_bytes;
      MICA_UNROLL
      for (int r = 0; r < kStreamTiles; ++r) {
        copy_chunk<kChunkPieces<kFormat>>(stage + r * chunk_bytes, next[r], bytes, lane_index());
        next[r] += chunk_bytes;
      }
      --left;
    }
    cp_async_commit();
  }
};

template <IntegerFormat kFormat>
MICA_DEVICE ChunkStream<kFormat> open_chunks(const ProductTarget& t, const StreamPlace& place,
                                             const WarpSegment& segment) {
  const gpu::IntegerLayout& l = t.layout;
  ChunkStream<kFormat> stream;
  MICA_UNROLL
  for (int r = 0; r < kStreamTiles; ++r)
    stream.next[r] = weights_of(t, place.expert, place.first_tile + r) +
                     static_cast<size_t>(segment.begin) * l.chunk_bytes + lane_index() * 16;
  stream.left = segment.end - segment.begin;
  stream.chunk_bytes = static_cast<int>(l.chunk_bytes);
  stream.last_bytes = segment.units % gpu::kChunkUnits
                          ? static_cast<int>(l.scale_bytes + l.code_bytes)
                          : stream.chunk_bytes;
  return stream;
}

// Sums of a segment: of each row tile and eight slots, the lane's results.
struct StreamSums {
  UnitSums<false> of[kStreamTiles][kStreamEights];
};

// Units of a segment, from the ring's first stage on. second: there are slots 8 to 15.
template <IntegerFormat kFormat, ScaleCase kCase>
MICA_DEVICE void multiply_segment(ChunkStream<kFormat>& weights, ColumnStream<false>& columns,
                                  const UnitSteps& steps, SharedPlace ring, int units, bool second,
                                  StreamSums& sums) {
  constexpr int kStages = kStreamStages<kFormat>;
  const int lane = lane_index(), stage_bytes = kStreamTiles * steps.chunk_bytes;
  const ScaleKind kind = known<kCase>(steps.kind);
  const bool halves = kind.halves;
  UnitColumns<false> x[kStreamEights] = {};
  columns.template take<kFormat>(x[0], 0, halves);
  if (second) columns.template take<kFormat>(x[1], 1, halves);
  int stage = 0, free_stage = (kStages - 1) * stage_bytes;
  MICA_ROLLED
  for (; units > 0; units -= gpu::kChunkUnits) {
    cp_async_wait<kStages - 2>();
    sync_warp();
    weights.copy(ring + (free_stage + lane * 16));
    SharedPlace codes = ring + (stage + steps.code_start), scales = ring + stage;
    MICA_ROLLED
    for (int u = 0; u < gpu::kChunkUnits && u < units; ++u) {
      columns.advance();
      MICA_UNROLL
      for (int r = 0; r < kStreamTiles; ++r) {
        const UnitWeights<kFormat> w = take_unit<kFormat>(
            codes + r * steps.chunk_bytes, scales + r * steps.chunk_bytes, lane, kind);
        MICA_UNROLL
        for (int e = 0; e < kStreamEights; ++e) {
          if (e == 1 && !second) continue;
          add_unit<kFormat>(w, x[e], halves, sums.of[r][e]);
          if (r == kStreamTiles - 1) columns.template take<kFormat>(x[e], e, halves);
        }
      }
      codes = codes + steps.code_step;
      scales = scales + steps.scale_step;
    }
    free_stage = stage;
    stage = stage + stage_bytes < kStages * stage_bytes ? stage + stage_bytes : 0;
  }
}

template <IntegerFormat kFormat>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kStreamThreads, kStreamBlocks) void stream_kernel(const Product p) {
  constexpr int kStages = kStreamStages<kFormat>, kRows = kStreamTiles * gpu::kRowTile;
  Shared shared;
  auto* kept = shared.take<StreamPlace>(1);
  auto* partial = shared.take<float>(kStreamWarps * kRows * kStreamSlots);
  StreamPlace place;
  const bool work = find_place<kStreamTiles>(p, place);
  const ProductTarget& t = p.target[place.target];
  const int ring_bytes = kStages * kStreamTiles * static_cast<int>(t.layout.chunk_bytes);
  auto* rings = shared.take<std::byte>(static_cast<size_t>(kStreamWarps * ring_bytes));
  if (!work) return;

  const UnitSteps steps = steps_of(t.layout);
  const WarpSegment segment = warp_segment(t.layout);
  const SharedPlace ring = shared_place(rings + warp_index() * ring_bytes);
  auto weights = open_chunks<kFormat>(t, place, segment);
  for (int i = 0; i < kStages - 1; ++i)
    weights.copy(ring + (i * kStreamTiles * steps.chunk_bytes + lane_index() * 16));
  grid_dependency_wait();
  place.taken = taken_slots(p.slots, place.slot_tile);
  if (thread_index().x == 0) *kept = place;
  StreamSums sums = {};
  if (segment.units > 0) {
    auto columns = open_columns<false>(p, place.slot_tile, place.taken, segment.first_unit);
    with_scale_case<kFormat>(t.layout, [&]<ScaleCase kCase>() {
      multiply_segment<kFormat, kCase>(weights, columns, steps, ring, segment.units,
                                       place.taken >> 8, sums);
    });
  }
  grid_dependency_launch();
  MICA_UNROLL
  for (int r = 0; r < kStreamTiles; ++r) {
    MICA_UNROLL
    for (int e = 0; e < kStreamEights; ++e)
      write_sums<false, kRows>(sums.of[r][e], r, e, partial + warp_index() * kRows * kStreamSlots);
  }
  sync_threads();
  finish_sums<kRows, kStreamSlots>(p, *kept, partial);
}

template <IntegerFormat kFormat>
void start_stream(gpu::Stream& stream, const Product& p) {
  uint32_t chunk = 0;
  for (int i = 0; i < p.targets; ++i)
    if (p.target[i].layout.chunk_bytes > chunk) chunk = p.target[i].layout.chunk_bytes;
  const size_t bytes =
      shared_bytes<StreamPlace>(1) +
      shared_bytes<float>(kStreamWarps * kStreamTiles * gpu::kRowTile * kStreamSlots) +
      shared_bytes<std::byte>(kStreamWarps * kStreamStages<kFormat> * kStreamTiles * chunk);
  launch(stream,
         {"integer_stream",
          {static_cast<uint32_t>(p.row_blocks * p.slots.tiles)},
          {kStreamThreads},
          bytes},
         stream_kernel<kFormat>, p);
}

}  // namespace mica::MICA_GPU

// The product of up to 16 slots: bound by the bytes of the weights.
//
// A block takes one row tile, or two where it has more than four slots; each of its 8 warps one
// segment of K. A warp streams its chunks through a ring of shared memory of its own by cp.async,
// with no barrier, and holds the activations of the next unit in registers. 3 blocks of an SM keep
// about 60 KB of weights in flight, where an H100 needs 25 (3.35 TB/s, 1 us). A unit of 4 bits
// takes some 50 instructions a warp for four slots and 90 for eight, that is 13 and 23 cycles of an
// SM, which at full bandwidth gets its 576 bytes in 38.
#pragma once

#include "ops/linear/cuda_integer_product.h"

namespace mica::MICA_GPU {

constexpr int kStreamWarps = gpu::kSegments;
constexpr int kStreamThreads = kStreamWarps * kWarpSize;

// Row tiles of a block.
template <bool kFour>
inline constexpr int kStreamTiles = kFour ? 1 : 2;
// Chunks of a warp's ring, so that 8 bits fit the 99 KB of a block too.
template <IntegerFormat kFormat, bool kFour>
inline constexpr int kStreamStages = kFour                   ? 4
                                     : kBitsOf<kFormat> <= 4 ? 3
                                                             : 2;

// Blocks of an SM that registers leave room for. Where an SM has 100 KB of shared memory (8.6, 8.9,
// 12), a block of more than four slots takes most of it.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ != 800 && __CUDA_ARCH__ != 900 && __CUDA_ARCH__ != 1000
template <bool kFour>
inline constexpr int kStreamBlocks = kFour ? 3 : 1;
#else
template <bool kFour>
inline constexpr int kStreamBlocks = kFour ? 3 : 2;
#endif

// A warp's share of the weights: the chunks of its segment.
template <int kTiles, int kStages>
struct WeightStream {
  const std::byte* tile[kTiles];
  std::byte* ring;  // [kStages][kTiles][chunk]
  uint32_t chunk_bytes, last_bytes;
  int last;  // the chunk of last_bytes

  MICA_DEVICE std::byte* place(int stage, int r) const {
    return ring + static_cast<uint32_t>(stage * kTiles + r) * chunk_bytes;
  }
  MICA_DEVICE void copy(int chunk, int stage) const {
    const uint32_t bytes = chunk == last ? last_bytes : chunk_bytes;
    const size_t from = static_cast<size_t>(chunk) * chunk_bytes;
    MICA_UNROLL
    for (int r = 0; r < kTiles; ++r) {
      MICA_ROLLED
      for (uint32_t i = static_cast<uint32_t>(lane_index()) * 16; i < bytes; i += kWarpSize * 16)
        cp_async<16>(place(stage, r) + i, tile[r] + from + i);
    }
  }
};

template <int kTiles, int kStages>
MICA_DEVICE WeightStream<kTiles, kStages> open_stream(const ProductTarget& t, int expert,
                                                      int first_tile, std::byte* ring) {
  const gpu::IntegerLayout& l = t.layout;
  WeightStream<kTiles, kStages> stream;
  for (int r = 0; r < kTiles; ++r) {
    const int tile = first_tile + r < l.row_tiles ? first_tile + r : l.row_tiles - 1;
    stream.tile[r] = t.weights + static_cast<size_t>(expert) * t.expert_bytes +
                     static_cast<size_t>(tile) * l.tile_bytes;
  }
  stream.ring = ring + static_cast<uint32_t>(warp_index() * kStages * kTiles) * l.chunk_bytes;
  stream.chunk_bytes = l.chunk_bytes;
  stream.last_bytes = l.units % gpu::kChunkUnits ? l.scale_bytes + l.code_bytes : l.chunk_bytes;
  stream.last = l.chunks() - 1;
  return stream;
}

// Activations from global memory: those of taken slots alone, else zeros.
template <bool kFour, bool kOffsets>
MICA_DEVICE UnitColumns<kFour> load_columns(const std::byte* unit, int slots, int eight,
                                            uint32_t taken, bool halves) {
  UnitColumns<kFour> x;
  const int lane = lane_index();
  const int slot = kFour ? lane / 8 : eight * 8 + lane / 4;
  for (Bytes16& part : x.part) part = {};
  if (taken >> slot & 1)
    for (int i = 0; i < UnitColumns<kFour>::kSlots; ++i)
      x.part[i] = load16(unit + eight * 1024 + i * 512 + lane * 16);
  take_sums<kFour, kOffsets>(x, unit + slots * 128 + eight * 128, halves);
  return x;
}

// Sums of a segment: of each row tile and eight slots, the lane's results.
template <bool kFour>
struct StreamSums {
  static constexpr int kTiles = kStreamTiles<kFour>;
  static constexpr int kEights = kFour ? 1 : 2;
  UnitSums<kFour> of[kTiles][kEights];
};

template <IntegerFormat kFormat, bool kFour>
MICA_DEVICE void multiply_segment(
    const Product& p, const ProductTarget& t, int slot_tile, uint32_t taken,
    const WeightStream<kStreamTiles<kFour>, kStreamStages<kFormat, kFour>>& stream, int begin,
    int end, StreamSums<kFour>& sums) {
  using Sums = StreamSums<kFour>;
  constexpr bool kOffsets = kAffine<kFormat>;
  constexpr int kStages = kStreamStages<kFormat, kFour>;
  const gpu::IntegerLayout& l = t.layout;
  const bool halves = l.group == 32;
  const int slots = p.slots.size, last_unit = p.units - 1;
  const bool second = !kFour && taken >> 8;  // slots 8 to 15
  const std::byte* tile =
      p.activations + static_cast<size_t>(slot_tile) * p.slots.tile_bytes(p.units);
  const auto load = [&](int unit, int eight) {
    const int at = unit < last_unit ? unit : last_unit;
    return load_columns<kFour, kOffsets>(tile + static_cast<size_t>(at) * p.slots.unit_bytes(),
                                         slots, eight, taken, halves);
  };
  UnitColumns<kFour> x[Sums::kEights] = {};
  x[0] = load(begin * gpu::kChunkUnits, 0);
  if (second) x[1] = load(begin * gpu::kChunkUnits, 1);
  int stage = 0, free_stage = kStages - 1;
  const int end_unit = end * gpu::kChunkUnits < p.units ? end * gpu::kChunkUnits : p.units;
  MICA_ROLLED
  for (int unit = begin * gpu::kChunkUnits; unit < end_unit; ++unit) {
    const int u = unit % gpu::kChunkUnits;
    if (u == 0) {
      cp_async_wait<kStages - 2>();
      sync_warp();
      const int ahead = unit / gpu::kChunkUnits + kStages - 1;
      if (ahead < end) stream.copy(ahead, free_stage);
      cp_async_commit();
    }
    MICA_UNROLL
    for (int r = 0; r < Sums::kTiles; ++r) {
      const UnitWeights<kFormat> w = take_unit<kFormat>(l, stream.place(stage, r), u, halves);
      MICA_UNROLL
      for (int e = 0; e < Sums::kEights; ++e) {
        if (e == 1 && !second) continue;
        add_unit<kFormat>(w, x[e], halves, sums.of[r][e]);
        if (r == Sums::kTiles - 1) x[e] = load(unit + 1, e);
      }
    }
    if (u == 1) {
      stage = stage + 1 < kStages ? stage + 1 : 0;
      free_stage = free_stage + 1 < kStages ? free_stage + 1 : 0;
    }
  }
}

// The lane's results into [slot][row] of the warp.
template <bool kFour>
MICA_DEVICE void write_sums(const StreamSums<kFour>& sums, float* out) {
  using Sums = StreamSums<kFour>;
  constexpr int kRows = Sums::kTiles * gpu::kRowTile;
  constexpr int kSlots = UnitColumns<kFour>::kSlots;
  const int g = lane_index() / 4, t = lane_index() % 4;
  for (int r = 0; r < Sums::kTiles; ++r)
    for (int e = 0; e < Sums::kEights; ++e)
      for (int i = 0; i < 2 * kSlots; ++i) {
        const int slot = e * 8 + t * kSlots + i % kSlots;
        out[slot * kRows + r * gpu::kRowTile + i / kSlots * 8 + g] = sums.of[r][e].value[i];
      }
}

// What a block works on; it waits in shared memory while the registers hold sums.
struct StreamPlace {
  int target, first_tile, slot_tile, expert;
  uint32_t taken;
};

// Adds the segments' sums and stores them.
template <bool kFour>
MICA_DEVICE void finish_stream(const Product& p, const StreamPlace& place, const float* partial) {
  constexpr int kRows = kStreamTiles<kFour> * gpu::kRowTile, kSlots = kFour ? 4 : kStreamSlots;
  const ProductTarget& t = p.target[place.target];
  for (int i = static_cast<int>(thread_index().x); i < kRows * kSlots; i += kStreamThreads) {
    const int n = place.first_tile * gpu::kRowTile + i % kRows, slot = i / kRows;
    if (n >= t.layout.rows || !(place.taken >> slot & 1)) continue;
    float sum = 0;
    for (int w = 0; w < kStreamWarps; ++w) sum += partial[w * kRows * kSlots + i];
    store_result(t, place.expert, n, output_row(p.slots, place.slot_tile, slot), sum);
  }
}

template <IntegerFormat kFormat, bool kFour>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kStreamThreads,
                               kStreamBlocks<kFour>) void stream_kernel(const Product p) {
  constexpr int kTiles = kStreamTiles<kFour>, kStages = kStreamStages<kFormat, kFour>;
  constexpr int kSums = kTiles * gpu::kRowTile * (kFour ? 4 : kStreamSlots);
  const int row_block = static_cast<int>(block_index().x) / p.slots.tiles;
  const int slot_tile = static_cast<int>(block_index().x) % p.slots.tiles;
  const int target = target_of(p, row_block);
  const ProductTarget& t = p.target[target];
  const int first_tile = (row_block - t.first_block) * kTiles;
  Shared shared;
  auto* place = shared.take<StreamPlace>(1);
  auto* partial = shared.take<float>(kStreamWarps * kSums);
  auto* ring = shared.take<std::byte>(static_cast<size_t>(kStreamWarps * kStages * kTiles) *
                                      t.layout.chunk_bytes);
  int expert = 0;
  if (p.slots.experts) {
    grid_dependency_wait();
    expert = expert_of(p.slots, slot_tile);
    if (expert < 0 || taken_slots(p.slots, slot_tile) == 0) return;
  }

  const int chunks = t.layout.chunks();
  const int begin = segment_begin(warp_index(), chunks);
  const int end = segment_begin(warp_index() + 1, chunks);
  const auto stream = open_stream<kTiles, kStages>(t, expert, first_tile, ring);
  for (int i = 0; i < kStages - 1; ++i) {
    if (begin + i < end) stream.copy(begin + i, i);
    cp_async_commit();
  }
  grid_dependency_wait();
  const uint32_t taken = taken_slots(p.slots, slot_tile);
  if (thread_index().x == 0) *place = {target, first_tile, slot_tile, expert, taken};
  StreamSums<kFour> sums = {};
  multiply_segment<kFormat, kFour>(p, t, slot_tile, taken, stream, begin, end, sums);
  grid_dependency_launch();
  write_sums(sums, partial + warp_index() * kSums);
  sync_threads();
  finish_stream<kFour>(p, *place, partial);
}

template <IntegerFormat kFormat, bool kFour>
void start_stream(gpu::Stream& stream, const Product& p) {
  constexpr int kTiles = kStreamTiles<kFour>, kStages = kStreamStages<kFormat, kFour>;
  uint32_t chunk = 0;
  for (int i = 0; i < p.targets; ++i)
    if (p.target[i].layout.chunk_bytes > chunk) chunk = p.target[i].layout.chunk_bytes;
  const size_t bytes =
      shared_bytes<StreamPlace>(1) +
      shared_bytes<float>(kStreamWarps * kTiles * gpu::kRowTile * (kFour ? 4 : kStreamSlots)) +
      shared_bytes<std::byte>(static_cast<size_t>(kStreamWarps * kStages * kTiles) * chunk);
  launch(stream,
         {"integer_stream",
          {static_cast<uint32_t>(p.row_blocks * p.slots.tiles)},
          {kStreamThreads},
          bytes},
         stream_kernel<kFormat, kFour>, p);
}

}  // namespace mica::MICA_GPU

// What a block of cuda_integer_tile.h works on, and the stream of its weights and activations into
// shared memory.
#pragma once

#include "ops/linear/cuda_integer_product.h"

namespace mica::MICA_GPU {

constexpr int kTileWarps = 4;
constexpr int kTileThreads = kTileWarps * kWarpSize;
constexpr int kWarpTiles = 2;                           // row tiles of a warp
constexpr int kBlockTiles = kTileRows / gpu::kRowTile;  // of a block
constexpr int kEights = kTileSlots / 8;
constexpr int kActivationUnit = kTileSlots * 144;  // bytes
constexpr int kActivationChunk = gpu::kChunkUnits * kActivationUnit;
static_assert(kBlockTiles == kTileWarps * kWarpTiles);

// A lane's results: rows g and g + 8 of a row tile, slots 2t and 2t + 1 of eight.
struct TileSums {
  UnitSums<false> of[kWarpTiles][kEights];
};

// What the block works on.
struct TileWork {
  const ProductTarget* target;
  int expert, slot_tile, first_tile;
  int eights;  // of the slots, up to the last that is taken
};

// A thread's way through the chunks that the block multiplies.
template <IntegerFormat kFormat>
struct TileStream {
  const std::byte* weights[kWarpTiles];  // the lane's places in the chunk to be copied next
  const std::byte* activations;          // the thread's place in that chunk
  int weights_left, activations_left;    // chunks to be copied
  int chunk_bytes, last_bytes;           // of weights, and of the last chunk to be copied
  int last_units;

  MICA_DEVICE void copy_weights(SharedPlace stage) {
    if (weights_left <= 0) return;
    const int bytes = weights_left == 1 ? last_bytes : chunk_bytes;
    MICA_UNROLL
    for (int r = 0; r < kWarpTiles; ++r) {
      const int at = (warp_index() * kWarpTiles + r) * chunk_bytes + lane_index() * 16;
      copy_chunk<kChunkPieces<kFormat>>(stage + at, weights[r], bytes, lane_index());
      weights[r] += chunk_bytes;
    }
    --weights_left;
  }
  // Of all slots, taken or not.
  MICA_DEVICE void copy_activations(SharedPlace stage) {
    if (activations_left <= 0) return;
    constexpr int kStep = kTileThreads * 16;
    const int bytes = (activations_left == 1 ? last_units : gpu::kChunkUnits) * kActivationUnit;
    const int own = static_cast<int>(thread_index().x) * 16;
    MICA_UNROLL
    for (int at = 0; at < kActivationChunk; at += kStep)
      if (at + own < bytes) cp_async16(stage + (at + own), activations + at);
    activations += kActivationChunk;
    --activations_left;
  }
};

template <IntegerFormat kFormat>
MICA_DEVICE TileStream<kFormat> open_tiles(const Product& p, const TileWork& w, int begin,
                                           int end) {
  const gpu::IntegerLayout& l = w.target->layout;
  TileStream<kFormat> stream;
  MICA_UNROLL
  for (int r = 0; r < kWarpTiles; ++r)
    stream.weights[r] =
        weights_of(*w.target, w.expert, w.first_tile + warp_index() * kWarpTiles + r) +
        static_cast<size_t>(begin) * l.chunk_bytes + lane_index() * 16;
  stream.activations = p.activations +
                       static_cast<size_t>(w.slot_tile) * p.slots.tile_bytes(p.units) +
                       static_cast<size_t>(begin) * kActivationChunk + thread_index().x * 16;
  stream.weights_left = stream.activations_left = end - begin;
  stream.chunk_bytes = static_cast<int>(l.chunk_bytes);
  const bool half = l.units % gpu::kChunkUnits && end == l.chunks();
  stream.last_bytes = half ? static_cast<int>(l.scale_bytes + l.code_bytes) : stream.chunk_bytes;
  stream.last_units = half ? 1 : gpu::kChunkUnits;
  return stream;
}

}  // namespace mica::MICA_GPU

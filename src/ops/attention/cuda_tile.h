// Attention with tensor cores: how a block cuts its work, its shared memory and what it loads.
#pragma once

#include <algorithm>

#include "ops/attention/cuda_plan.h"

namespace mica::MICA_GPU {

template <typename T_, int kHead_, bool kWide_, bool kQuantized_>
struct Tiling {
  using T = T_;
  static constexpr bool kQuantized = kQuantized_;
  static constexpr int kHead = kHead_;  // elements of a head, at most
  static constexpr int kPositions = kHead <= 128 ? 64 : kHead == 256 ? 32 : 16;  // of a tile
  static constexpr int kWarpsM = !kWide_ ? 1 : kHead <= 128 ? 8 : kHead == 256 ? 4 : 2;
  static constexpr int kWarpsD = kWide_ ? 8 / kWarpsM : 4;
  static constexpr int kRows = 16 * kWarpsM;
  static constexpr int kThreads = kWarpSize * kWarpsM * kWarpsD;
  // Slots of tiles of keys and values, of which kTogether arrive at once: pairs of keys and values,
  // so that warps meet once a tile, or each alone, so that loads never pause.
  // Of a quantized cache: slots of codes, from which the tiles that are worked on are made.
  static constexpr int kTogether = kWide_ ? 2 : 1;
  static constexpr int kRing = kQuantized && kWide_ ? 2 : 4;
  static constexpr int kTiles = kQuantized ? kTogether : kRing;
  static constexpr int kSlot = kPositions * kHead;  // elements

  static constexpr int kColumns = kHead / kWarpsD;  // of out, in a warp
  // Warps that share a tile's scores, and positions of each.
  static constexpr int kScoreWarps = kWarpsD < kPositions / 8 ? kWarpsD : kPositions / 8;
  static constexpr int kScores = kPositions / kScoreWarps;
  // Sums of alternate products, where a warp has too few others to wait for one.
  static constexpr int kChains = kHead >= 256 ? 2 : 1;
  // Wide tiles of 64 elements have 128 registers a thread, which codes need too.
  static constexpr bool kQueryInRegisters = kHead <= 256 && !(kQuantized && kWide_ && kHead == 64);
  static constexpr int kWeightStride = kPositions + 8;  // elements: rows fall on other banks
  // Blocks that a multiprocessor must have registers for.
  static constexpr int kBlocks = kWide_ ? (kHead == 64 ? 2 : 1) : kHead <= 128 ? 3 : 2;
  static constexpr int kFoldFloats = kColumns / 2 + 4;

  // Elements. Weights take the place of queries that are in registers.
  static constexpr int kWeightSize = kWarpsD > 1 ? 16 * kWarpsM* kWeightStride : 0;
  static constexpr int kQuerySize =
      kQueryInRegisters ? std::max(kRows * kHead, kWeightSize) : (kRows * kHead);
  static constexpr size_t kShared = shared_bytes<T>(kQuerySize) + shared_bytes<T>(kTiles * kSlot) +
                                    (kQueryInRegisters ? 0 : shared_bytes<T>(kWeightSize)) +
                                    (kWarpsD > 1 ? shared_bytes<float>(kScoreWarps * kRows) : 0) +
                                    shared_bytes<AttentionItem>(1);
  // Bytes of a slot of codes: [kPositions, code_bytes], then [kPositions, groups] pairs.
  MICA_HOST_DEVICE static constexpr int coded_slot(int code_bytes, int groups) {
    return kPositions * (code_bytes + groups * 2 * static_cast<int>(sizeof(T)));
  }
  MICA_HOST_DEVICE static constexpr size_t coded_bytes(int code_bytes, int groups) {
    return kQuantized ? shared_bytes<std::byte>(
                            static_cast<size_t>(kRing * coded_slot(code_bytes, groups)))
                      : 0;
  }
  static_assert(kShared + coded_bytes(kHead, kHead / 16) <= 99 * 1024);
};

// One block's shared memory and one thread's place in it.
template <typename L>
struct Block {
  typename L::T* query;    // [kRows, kHead], swizzled
  typename L::T* tiles;    // [kTiles, kPositions, kHead], swizzled
  std::byte* coded;        // [kRing, coded_slot], of a quantized cache
  typename L::T* weights;  // [kRows, kWeightStride]
  float* highest;          // [kScoreWarps, kRows]
  AttentionItem* item;
  int thread, lane, warp_m, warp_d;

  // The warps of 16 rows, after they wrote to shared memory for each other.
  MICA_DEVICE void sync_rows(Where where) const {
    if constexpr (L::kWarpsM == 1)
      sync_threads(where);
    else if constexpr (L::kWarpsD > 1)
      barrier_sync(1 + warp_m, L::kWarpsD * kWarpSize, where);
  }
};

// What a thread keeps over the tiles: element i of a fragment is of row lane / 4 + 8 (i / 2) of the
// warp's 16.
template <typename L>
struct Sums {
  float out[L::kColumns / 8][4];
  float weights[4];  // [0] and [2]: the sums of weights
  float highest[2];  // scores
};
template <typename L>
struct Query {
  uint32_t fragments[L::kQueryInRegisters ? L::kHead / 16 : 1][4];
  int position[2];                 // of the thread's rows; -1: there is none
  int min_position, max_position;  // of the warp's rows
};

// Chunk c of 8 elements of a row lies at c ^ row % 8, so that 8 rows of a column meet all banks.
template <typename L>
MICA_DEVICE int swizzled(int row, int chunk) {
  return row * L::kHead + (chunk ^ (row & 7)) * 8;
}

// Starts the copy of a tile, the keys of an even step and the values of an odd one. What no row
// sees becomes zero: a weight of zero must not meet garbage.
template <typename L>
MICA_DEVICE void load_tile(const AttentionArgs& a, const Block<L>& b, const AttentionRange& range,
                           int kv_head, int step, int slot, Where where) {
  constexpr int kChunks = L::kHead / 8;
  constexpr int kAtOnce = L::kThreads / kChunks;
  constexpr int kCopies = L::kPositions / kAtOnce;
  const int tile = range.begin + step / 2;
  const int chunk = b.thread % kChunks, row = b.thread / kChunks;
  if (tile >= range.end || chunk * 8 >= a.size) return;
  // All reads of the block table before the first copy, so that they overlap; -1: not seen.
  const int sequence = b.item->sequence;
  int rows[kCopies];
  MICA_UNROLL
  for (int i = 0; i < kCopies; ++i) {
    const int position = tile * L::kPositions + i * kAtOnce + row;
    const bool seen = position >= range.lowest && position < range.limit;
    rows[i] = seen ? cache_row(a, sequence, kv_head, position) : -1;
  }
  const auto* cache = static_cast<const typename L::T*>(step % 2 ? a.values : a.keys) + chunk * 8;
  typename L::T* to = b.tiles + slot * L::kSlot;
  MICA_UNROLL
  for (int i = 0; i < kCopies; ++i) {
    const int64_t offset = rows[i] < 0 ? 0 : static_cast<int64_t>(rows[i]) * a.size;
    cp_async<16>(to + swizzled<L>(i * kAtOnce + row, chunk), cache + offset, rows[i] < 0 ? 0 : 16,
                 where);
  }
}

template <typename L>
MICA_DEVICE void load_query(const AttentionArgs& a, const Block<L>& b, int kv_head, Where where) {
  constexpr int kChunks = L::kHead / 8;
  const int chunk = b.thread % kChunks;
  if (chunk * 8 >= a.size) return;
  const auto* q = static_cast<const typename L::T*>(a.q);
  for (int row = b.thread / kChunks; row < L::kRows; row += L::kThreads / kChunks) {
    const AttentionRow r = row_of(a, *b.item, kv_head, row);
    cp_async<16>(b.query + swizzled<L>(row, chunk), q + (r.valid ? r.offset + chunk * 8 : 0),
                 r.valid ? 16 : 0, where);
  }
}

// Zeros behind a.size up to a multiple of 32, which products of q and k run over.
template <typename L>
MICA_DEVICE void clear_padding(const AttentionArgs& a, const Block<L>& b) {
  constexpr int kVectors = L::kRows + L::kTiles * L::kPositions;  // query, then tiles
  for (int chunk = a.size / 8; chunk % 4 != 0; ++chunk)
    for (int row = b.thread; row < kVectors; row += L::kThreads)
      store16((row < L::kRows ? b.query : b.tiles - L::kRows * L::kHead) + swizzled<L>(row, chunk),
              {});
}

// 16 x 16 elements of 16 rows of a swizzled array.
template <typename L>
MICA_DEVICE void load_rows(const Block<L>& b, const typename L::T* rows, int columns,
                           uint32_t (&fragment)[4], Where where) {
  const int chunk = columns / 8 + b.lane / 16;
  ldmatrix<4>(fragment, rows + swizzled<L>(b.lane % 16, chunk), where);
}

template <typename L>
MICA_DEVICE void take_query(const AttentionArgs& a, const Block<L>& b, Query<L>& query,
                            Where where) {
  if constexpr (L::kQueryInRegisters) {
    MICA_UNROLL
    for (int k = 0; k < L::kHead / 16; ++k) {
      if (k % 2 == 0 && k * 16 >= a.size) break;
      load_rows(b, b.query + b.warp_m * 16 * L::kHead, k * 16, query.fragments[k], where);
    }
  }
  MICA_UNROLL
  for (int i = 0; i < 2; ++i)
    query.position[i] = position_of(a, *b.item, b.warp_m * 16 + b.lane / 4 + 8 * i);
  const int rows = b.item->queries * a.group - b.item->row;  // of the tile and beyond
  const int first = b.warp_m * 16, last = first + 15 < rows ? first + 15 : rows - 1;
  query.min_position = position_of(a, *b.item, first);
  query.max_position = first < rows ? position_of(a, *b.item, last) : -1;
}

}  // namespace mica::MICA_GPU

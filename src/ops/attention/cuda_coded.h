// Attention with tensor cores over a quantized cache: how codes arrive, and tiles are made of them.
#pragma once

#include "ops/attention/cuda_tile.h"
#include "ops/cuda/vector.h"

namespace mica::MICA_GPU {

// As load_tile, of codes, scales and biases, to a slot of b.coded. What no row sees becomes zero.
template <typename L>
MICA_DEVICE void load_codes(const AttentionArgs& a, const Block<L>& b, const AttentionRange& range,
                            int kv_head, int step, int slot, Where where) {
  constexpr int kPair = 2 * sizeof(typename L::T);
  constexpr int kCopies = L::kPositions * (L::kHead / 16) / L::kThreads;  // at most
  const int tile = range.begin + step / 2;
  if (tile >= range.end) return;
  const int sequence = b.item->sequence;
  const auto row_at = [&](int row) {  // in the cache; -1: not seen
    const int position = tile * L::kPositions + row;
    const bool seen = position >= range.lowest && position < range.limit;
    return seen ? cache_row(a, sequence, kv_head, position) : -1;
  };
  const void* cache = step % 2 ? a.values : a.keys;
  std::byte* codes = b.coded + slot * L::coded_slot(a.code_bytes, a.groups);
  std::byte* pairs = codes + L::kPositions * a.code_bytes;
  // Chunks of 16 bytes of codes. All reads of the block table before the first copy.
  const int shift = a.chunk_shift, mask = (1 << shift) - 1;
  int rows[kCopies];
  MICA_UNROLL
  for (int i = 0; i < kCopies; ++i) {
    const int row = (i * L::kThreads + b.thread) >> shift;
    rows[i] = row < L::kPositions ? row_at(row) : -1;
  }
  MICA_UNROLL
  for (int i = 0; i < kCopies; ++i) {
    const int row = (i * L::kThreads + b.thread) >> shift, at = (b.thread & mask) * 16;
    if (row >= L::kPositions || at >= a.code_bytes) continue;
    const CodedVector from = coded_vector(a, cache, rows[i] < 0 ? 0 : rows[i], kPair);
    cp_async<16>(codes + row * a.code_bytes + at, from.codes + at, rows[i] < 0 ? 0 : 16, where);
  }
  const int group = b.thread & ((1 << a.pair_shift) - 1);
  if (group >= a.groups) return;
  MICA_ROLLED
  for (int row = b.thread >> a.pair_shift; row < L::kPositions;
       row += L::kThreads >> a.pair_shift) {
    const int cached = row_at(row);
    const CodedVector from = coded_vector(a, cache, cached < 0 ? 0 : cached, kPair);
    cp_async<kPair>(pairs + (row * a.groups + group) * kPair, from.pairs + group * kPair,
                    cached < 0 ? 0 : kPair, where);
  }
}

// Makes tile `to` of the codes in a slot: rounded to T, as an unquantized cache has them.
template <typename L>
MICA_DEVICE void widen_codes(const AttentionArgs& a, const Block<L>& b, int slot, int to) {
  using T = typename L::T;
  constexpr int kChunks = L::kHead / 8;
  const int column = b.thread % kChunks * 8;
  if (column >= a.size) return;
  const std::byte* codes = b.coded + slot * L::coded_slot(a.code_bytes, a.groups);
  const std::byte* pairs = codes + L::kPositions * a.code_bytes;
  T* tile = b.tiles + to * L::kSlot;
  const int group = column >> a.group_shift;
  MICA_UNROLL
  for (int row = b.thread / kChunks; row < L::kPositions; row += L::kThreads / kChunks) {
    const std::byte* at = codes + row * a.code_bytes + column * a.bits / 8;
    Bytes8 words = {};
    if (a.bits == 8)
      words = load8(at);
    else
      words.word[0] = load4(at);
    const uint32_t pair = load4(pairs + (row * a.groups + group) * 4);
    float values[8];
    dequantize8(a.bits, words.word[0], words.word[1], to_float(T{static_cast<uint16_t>(pair)}),
                to_float(T{static_cast<uint16_t>(pair >> 16)}), values);
    store16(tile + swizzled<L>(row, column / 8), pack16<T>(values));
  }
}

}  // namespace mica::MICA_GPU

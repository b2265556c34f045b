// How the attention kernels share a step's work.
//
// The rows of a sequence are its (token, head of the group) pairs, token by token: all that read
// one kv head. A tile of rows and a split, a run of positions, make an item; block x of a launch
// works on item x / kv_heads and kv head x % kv_heads. Which item that is, each block finds on the
// device from the lengths there, so that a recorded graph serves any lengths: the grid depends only
// on the number of sequences and queries and, where splits have a fixed length, on the width of the
// block table.
#pragma once

#include "ops/cuda/launch.h"
#include "ops/cuda/ptx.h"
#include "tensor/dtype.h"

namespace mica::MICA_GPU {

// Split lengths and windows without an end; sums of a few of them stay below 2^31.
inline constexpr int kEndless = 1 << 28;

struct AttentionArgs {
  const void* q;                               // [T, H, Dh]
  void* out;                                   // [T, H, Dh]
  const void* keys;                            // [blocks, G, block_size, Dh]
  const void* values;                          // the same
  const float* sinks;                          // [H] or null
  DType activation, cache_keys, cache_values;  // of a quantized cache: of scales and biases

  // A quantized cache (KvScheme).
  int bits;             // of a code: 8 or 4; 0: not quantized
  int group_shift;      // elements of a group: 1 << group_shift
  int groups;           // of a vector
  int code_bytes;       // of a vector, a multiple of 16
  int chunk_shift;      // 16 bytes of them: at most 1 << chunk_shift in a vector
  int pair_shift;       // groups: at most 1 << pair_shift
  int64_t piece_bytes;  // of a block's vectors of one head

  const int32_t* query_start;  // [S + 1], or null: every sequence has one query
  const int32_t* kv_lengths;   // [S]
  const int32_t* block_table;  // [S, max_blocks]
  int sequences, max_blocks;
  int block_shift;  // block_size = 1 << block_shift

  int heads, kv_heads, group;  // H, G, H / G
  int size;                    // Dh
  int window;                  // kEndless: all
  // A score times `factor` is an exponent of 2. With a soft cap the score is first replaced by
  // softcap_out * tanh(softcap_in / 2 * score), in such exponents, and factor is 1.
  float factor;
  float softcap_in, softcap_out;  // softcap_out 0: none

  int tile_rows, tile_positions;  // of the kernel
  int rows_above, rows_upto;      // sequences with other numbers of rows are not of this launch
  int split_tiles;                // tiles of positions in a split; 0: the device chooses
  int min_split_tiles;            // that it may choose
  int target;                     // blocks of a launch that it aims at
  bool aligned;                   // splits begin at absolute multiples of their length
  bool fold;                      // an item has all splits of its rows, one after another
  int items;                      // upper bound

  // Scratch memory. States of split rows: item * kv_heads + kv head, then state_rows rows.
  float* states;  // [.., state_rows, Dh] sums of weight * value
  float* norms;   // [.., state_rows, 2] highest exponent, sum of weights
  int state_rows;
  float* folds;  // with `fold`: what every thread of the launch keeps of earlier splits
};

// A tile of rows and a split of the positions that its sequence's queries see.
struct AttentionItem {
  int sequence;           // -1: none, nor any later one
  int token;              // the sequence's first row in the batch
  int queries, length;    // its tokens in this step, and in the cache
  int row;                // the tile's first
  int split, splits;      // 0 of 1 with `fold`
  int base, split_tiles;  // split i begins at tile base + i * split_tiles
  int state, state_step;  // the item of split 0, and from one split's to the next one's
};

// What one sequence has to do, before its splits are known.
struct SequenceWork {
  int token = 0, queries = 0, length = 0;
  int row_tiles = 0;
  int base = 0, tiles = 0;  // tiles of positions that some query sees
};

MICA_DEVICE int divide_up(int a, int b) {
  return (a + b - 1) / b;
}

MICA_DEVICE int lowest_seen(const AttentionArgs& a, int position) {
  const int lowest = position - a.window + 1;
  return lowest > 0 ? lowest : 0;
}

MICA_DEVICE SequenceWork work_of(const AttentionArgs& a, int sequence) {
  SequenceWork w;
  w.token = a.query_start ? a.query_start[sequence] : sequence;
  w.queries = a.query_start ? a.query_start[sequence + 1] - w.token : 1;
  w.length = a.kv_lengths[sequence];
  const int rows = w.queries * a.group;
  if (rows > a.rows_above && rows <= a.rows_upto) w.row_tiles = divide_up(rows, a.tile_rows);
  w.base = lowest_seen(a, w.length - w.queries) / a.tile_positions;
  w.tiles = divide_up(w.length, a.tile_positions) - w.base;
  return w;
}

// The length of all splits of the launch, which spreads the work over `target` blocks.
MICA_DEVICE int choose_split_tiles(const AttentionArgs& a, Where where) {
  if (a.split_tiles > 0) return a.split_tiles;
  uint32_t total = 0;
  for (int s = lane_index(); s < a.sequences; s += kWarpSize) {
    const SequenceWork w = work_of(a, s);
    total += static_cast<uint32_t>(w.row_tiles * w.tiles);
  }
  total = reduce_add(kFullWarp, total, where) * static_cast<uint32_t>(a.kv_heads);
  const int wanted = divide_up(static_cast<int>(total), a.target);
  return wanted > a.min_split_tiles ? wanted : a.min_split_tiles;
}

MICA_DEVICE int sum_upto_lane(int value, Where where) {
  MICA_UNROLL
  for (int delta = 1; delta < kWarpSize; delta *= 2) {
    const auto below = static_cast<int>(
        shuffle_up(kFullWarp, static_cast<uint32_t>(value), delta, kWarpSize, where));
    if (lane_index() >= delta) value += below;
  }
  return value;
}

// Finds item `index`, or with kByRowTile the first item of row tile `index`. By one warp, of which
// the lane that looks at the item's sequence writes it.
template <bool kByRowTile>
MICA_DEVICE void find_item(const AttentionArgs& a, int index, AttentionItem* item,
                           Where where = Where::here()) {
  const int split_tiles = choose_split_tiles(a, where);
  int tiles_before = 0, items_before = 0;
  for (int first = 0; first < a.sequences; first += kWarpSize) {
    const int sequence = first + lane_index();
    SequenceWork w;
    if (sequence < a.sequences) w = work_of(a, sequence);
    if (a.aligned) {
      const int skipped = w.base % split_tiles;
      w.base -= skipped;
      w.tiles += skipped;
    }
    const int splits = a.fold || w.tiles <= split_tiles ? 1 : divide_up(w.tiles, split_tiles);
    const int tiles_upto = tiles_before + sum_upto_lane(w.row_tiles, where);
    const int items_upto = items_before + sum_upto_lane(w.row_tiles * splits, where);
    const int upto = kByRowTile ? tiles_upto : items_upto;
    const int before = upto - (kByRowTile ? w.row_tiles : w.row_tiles * splits);
    const bool mine = index >= before && index < upto;
    if (mine) {
      const int tile = (index - before) % w.row_tiles;
      item->sequence = sequence;
      item->token = w.token;
      item->queries = w.queries;
      item->length = w.length;
      // Later rows see more positions: they start first.
      item->row = (w.row_tiles - 1 - tile) * a.tile_rows;
      item->split = (index - before) / w.row_tiles;
      item->splits = splits;
      item->base = w.base;
      item->split_tiles = split_tiles;
      item->state = items_upto - w.row_tiles * splits + tile;
      item->state_step = w.row_tiles;
    }
    if (any(kFullWarp, mine, where)) return;
    tiles_before = static_cast<int>(
        shuffle(kFullWarp, static_cast<uint32_t>(tiles_upto), 31, kWarpSize, where));
    items_before = static_cast<int>(
        shuffle(kFullWarp, static_cast<uint32_t>(items_upto), 31, kWarpSize, where));
  }
  if (lane_index() == 0) item->sequence = -1;
}

// The positions of an item: tiles [begin, end), of which those in [lowest, limit) are seen by some
// row of the tile. All others may be garbage.
struct AttentionRange {
  int begin, end;
  int lowest, limit;
};

MICA_DEVICE AttentionRange range_of(const AttentionArgs& a, const AttentionItem& item) {
  const int rows = item.queries * a.group;
  const int last_row = (item.row + a.tile_rows < rows ? item.row + a.tile_rows : rows) - 1;
  const int before = item.length - item.queries;  // position of the sequence's first query
  AttentionRange r;
  r.lowest = lowest_seen(a, before + item.row / a.group);
  r.limit = before + last_row / a.group + 1;
  r.begin = r.lowest / a.tile_positions;
  r.end = divide_up(r.limit, a.tile_positions);
  if (!a.fold) {
    const int begin = item.base + item.split * item.split_tiles;
    if (r.begin < begin) r.begin = begin;
    if (r.end > begin + item.split_tiles) r.end = begin + item.split_tiles;
  }
  return r;
}

// The position of a row of a tile, which sees [lowest_seen, position]; -1: there is no such row.
MICA_DEVICE int position_of(const AttentionArgs& a, const AttentionItem& item, int row) {
  const int query = (item.row + row) / a.group;
  return query < item.queries ? item.length - item.queries + query : -1;
}

struct AttentionRow {
  int64_t offset;  // of its elements in q and out
  int head;
  bool valid;
};

MICA_DEVICE AttentionRow row_of(const AttentionArgs& a, const AttentionItem& item, int kv_head,
                                int row) {
  const int index = item.row + row, query = index / a.group;
  const int head = kv_head * a.group + index % a.group;
  return {(static_cast<int64_t>(item.token + query) * a.heads + head) * a.size, head,
          query < item.queries};
}

// The row of keys and values, [.., Dh], of a position.
MICA_DEVICE int cache_row(const AttentionArgs& a, int sequence, int kv_head, int position) {
  const int block = a.block_table[sequence * a.max_blocks + (position >> a.block_shift)];
  return ((block * a.kv_heads + kv_head) << a.block_shift) +
         (position & ((1 << a.block_shift) - 1));
}

// A quantized vector, at a row of keys or values.
struct CodedVector {
  const std::byte* codes;
  const std::byte* pairs;  // [groups, 2] of scale and bias
};
MICA_DEVICE CodedVector coded_vector(const AttentionArgs& a, const void* cache, int row,
                                     int pair_bytes) {
  const int offset = row & ((1 << a.block_shift) - 1);
  const std::byte* piece =
      static_cast<const std::byte*>(cache) + (row >> a.block_shift) * a.piece_bytes;
  return {piece + offset * a.code_bytes,
          piece + (a.code_bytes << a.block_shift) + offset * a.groups * pair_bytes};
}

// 8 elements of a group: codes of 8 bits in both words, or of 4 bits in the first.
MICA_DEVICE void dequantize8(int bits, uint32_t low, uint32_t high, float scale, float bias,
                             float (&values)[8]) {
  // A code in the last bits of 2^23 is a float without a conversion; the difference is exact.
  const auto element = [&](uint32_t codes, int i) {
    const float code = as_float(prmt(codes, 0x4b000000, 0x7440 + static_cast<uint32_t>(i)));
    return fmaf(code - 8388608.0f, scale, bias);
  };
  if (bits == 8) {
    MICA_UNROLL
    for (int i = 0; i < 4; ++i) {
      values[i] = element(low, i);
      values[4 + i] = element(high, i);
    }
  } else {
    const uint32_t even = low & 0x0f0f0f0f, odd = low >> 4 & 0x0f0f0f0f;
    MICA_UNROLL
    for (int i = 0; i < 4; ++i) {
      values[2 * i] = element(even, i);
      values[2 * i + 1] = element(odd, i);
    }
  }
}

}  // namespace mica::MICA_GPU

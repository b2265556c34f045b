// Attention without tensor cores: any mix of f32, bf16 and f16, quantized caches too, computed in
// f32.
//
//   computes   as cuda_mma.h
//   work       a block has 16 rows, four to a warp; a lane has one of 32 positions for scores and
//              every 32nd four columns for out. Keys and then values of a tile pass as f32 through
//              one array in shared memory.
//   precision  f32 throughout
//   limit      operations in f32, and loads that wait for each other: f32 checkpoints are for
//              comparison, not for speed.
#include "ops/attention/cuda_attention.h"
#include "ops/attention/cuda_state.h"
#include "ops/cuda/reduce.h"
#include "ops/cuda/vector.h"

namespace mica::MICA_GPU {
namespace {

constexpr int kRows = 16, kPositions = 32, kThreads = 128;
constexpr int kWarpRows = 4;
constexpr int kVectors = 4;  // of 4 columns in a lane: 512 elements of a head
constexpr int kFoldFloats = kWarpRows * (2 + 4 * kVectors);

struct Block {
  float* query;    // [kRows, stride]
  float* tile;     // [kPositions, stride]
  float* weights;  // [warps, kPositions, kWarpRows]
  AttentionItem* item;
  int stride;  // floats; 8 rows fall on other banks
  int thread, lane, warp;
};

struct Sums {
  float out[kWarpRows][kVectors][4];  // columns 128 v + 4 lane of row 4 warp + r
  float weights[kWarpRows];           // of the lane's positions
  float highest[kWarpRows];           // exponents
};

template <typename T>
MICA_DEVICE void load_as(const void* from, int64_t offset, float (&values)[8]) {
  const T* elements = static_cast<const T*>(from) + offset;
  if constexpr (sizeof(T) == 2) {
    unpack16<T>(load16(elements), values);
  } else {
    for (int half = 0; half < 2; ++half) {
      const Bytes16 v = load16(elements + 4 * half);
      for (int i = 0; i < 4; ++i) values[4 * half + i] = as_float(v.word[i]);
    }
  }
}
MICA_DEVICE void load_elements(const void* from, DType dtype, int64_t offset, float (&values)[8]) {
  if (dtype == DType::kF32)
    load_as<float>(from, offset, values);
  else if (dtype == DType::kBF16)
    load_as<bf16>(from, offset, values);
  else
    load_as<f16>(from, offset, values);
}

MICA_DEVICE float load_number(const std::byte* from, DType dtype, int index) {
  if (dtype == DType::kF32) return reinterpret_cast<const float*>(from)[index];
  if (dtype == DType::kBF16) return to_float(reinterpret_cast<const bf16*>(from)[index]);
  return to_float(reinterpret_cast<const f16*>(from)[index]);
}
// 8 elements from `column` on of a row of a quantized cache.
MICA_DEVICE void load_coded8(const AttentionArgs& a, const void* cache, DType dtype, int row,
                             int column, float (&values)[8]) {
  const CodedVector v = coded_vector(a, cache, row, dtype == DType::kF32 ? 8 : 4);
  const int pair = 2 * (column >> a.group_shift);
  Bytes8 words = {};
  if (a.bits == 8)
    words = load8(v.codes + column);
  else
    words.word[0] = load4(v.codes + column / 2);
  dequantize8(a.bits, words.word[0], words.word[1], load_number(v.pairs, dtype, pair),
              load_number(v.pairs, dtype, pair + 1), values);
}

// 8 elements to shared memory.
MICA_DEVICE void put8(const float (&values)[8], float* to) {
  for (int half = 0; half < 2; ++half) {
    Bytes16 v;
    for (int i = 0; i < 4; ++i) v.word[i] = as_bits(values[4 * half + i]);
    store16(to + 4 * half, v);
  }
}

MICA_DEVICE void load_query(const AttentionArgs& a, const Block& b, int kv_head) {
  const int chunks = a.size / 8;
  for (int i = b.thread; i < kRows * chunks; i += kThreads) {
    const int row = i / chunks, column = i % chunks * 8;
    const AttentionRow r = row_of(a, *b.item, kv_head, row);
    float values[8] = {};
    if (r.valid) load_elements(a.q, a.activation, r.offset + column, values);
    put8(values, b.query + row * b.stride + column);
  }
}

// What no row sees becomes zero: a weight of zero must not meet garbage.
MICA_DEVICE void load_tile(const AttentionArgs& a, const Block& b, const AttentionRange& range,
                           int kv_head, int first, const void* cache, DType dtype) {
  const int chunks = a.size / 8;
  for (int i = b.thread; i < kPositions * chunks; i += kThreads) {
    const int row = i / chunks, column = i % chunks * 8, position = first + row;
    float values[8] = {};
    if (position >= range.lowest && position < range.limit) {
      const int cached = cache_row(a, b.item->sequence, kv_head, position);
      if (a.bits > 0)
        load_coded8(a, cache, dtype, cached, column, values);
      else
        load_elements(cache, dtype, static_cast<int64_t>(cached) * a.size + column, values);
    }
    put8(values, b.tile + row * b.stride + column);
  }
}

MICA_DEVICE void multiply_keys(const AttentionArgs& a, const Block& b, float (&scores)[kWarpRows]) {
  for (int i = 0; i < kWarpRows; ++i) scores[i] = 0;
  for (int d = 0; d < a.size; d += 4) {
    float k[4], q[4];
    unpack16<float>(load16(b.tile + b.lane * b.stride + d), k);
    MICA_UNROLL
    for (int r = 0; r < kWarpRows; ++r) {
      unpack16<float>(load16(b.query + (b.warp * kWarpRows + r) * b.stride + d), q);
      for (int i = 0; i < 4; ++i) scores[r] = fmaf(q[i], k[i], scores[r]);
    }
  }
}

MICA_DEVICE float warp_max(float value, Where where) {
  // Bits ordered as signed integers.
  const auto order = [](int32_t bits) { return bits < 0 ? bits ^ 0x7fffffff : bits; };
  const uint32_t highest =
      reduce_max_signed(kFullWarp, order(static_cast<int32_t>(as_bits(value))), where);
  return as_float(static_cast<uint32_t>(order(static_cast<int32_t>(highest))));
}

// From scores of the lane's position to weights in shared memory.
MICA_DEVICE void weigh(const AttentionArgs& a, const Block& b, int position,
                       float (&scores)[kWarpRows], Sums& sums, Where where) {
  MICA_UNROLL
  for (int r = 0; r < kWarpRows; ++r) {
    const int own = position_of(a, *b.item, b.warp * kWarpRows + r);
    float score = scores[r];
    if (a.softcap_out != 0)
      score = a.softcap_out * tanhf(score * (a.softcap_in * (0.5f / kLog2E)));
    else
      score *= a.factor;
    if (position > own || position < lowest_seen(a, own)) score = kNothing;
    const float highest = fmaxf(sums.highest[r], warp_max(score, where));
    const float base = highest == kNothing ? 0 : highest;
    const float scale = exp2_approx(sums.highest[r] - base);
    const float weight = exp2_approx(score - base);
    sums.highest[r] = highest;
    sums.weights[r] = fmaf(sums.weights[r], scale, weight);
    MICA_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      for (int i = 0; i < 4; ++i) sums.out[r][v][i] *= scale;
    }
    b.weights[(b.warp * kPositions + b.lane) * kWarpRows + r] = weight;
  }
  sync_warp(kFullWarp, where);
}

MICA_DEVICE void multiply_values(const AttentionArgs& a, const Block& b, Sums& sums) {
  for (int position = 0; position < kPositions; ++position) {
    float weights[kWarpRows], values[4];
    unpack16<float>(load16(b.weights + (b.warp * kPositions + position) * kWarpRows), weights);
    MICA_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const int column = 128 * v + 4 * b.lane;
      if (column >= a.size) break;
      unpack16<float>(load16(b.tile + position * b.stride + column), values);
      MICA_UNROLL
      for (int r = 0; r < kWarpRows; ++r) {
        for (int i = 0; i < 4; ++i)
          sums.out[r][v][i] = fmaf(weights[r], values[i], sums.out[r][v][i]);
      }
    }
  }
}

MICA_DEVICE void clear(Sums& sums) {
  MICA_UNROLL
  for (int r = 0; r < kWarpRows; ++r) {
    sums.weights[r] = 0;
    sums.highest[r] = kNothing;
    MICA_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      for (int i = 0; i < 4; ++i) sums.out[r][v][i] = 0;
    }
  }
}

// Joins a split's sums to those of earlier ones (`total`: there are some), which the thread keeps
// in a.folds, or in registers at the last split.
MICA_DEVICE void end_split(const AttentionArgs& a, const Block& b, bool total, bool last,
                           Sums& sums) {
  float* kept = a.folds + static_cast<int64_t>(block_index().x) * kFoldFloats * kThreads + b.thread;
  const auto join = [&](const FoldWeights& w, int index, float& value) {
    float* place = kept + index * kThreads;
    value = fold(w, total ? *place : 0, value);
    if (!last) *place = value;
  };
  MICA_UNROLL
  for (int r = 0; r < kWarpRows; ++r) {
    float* highest = kept + r * kThreads;
    const FoldWeights w = fold_weights(total ? *highest : kNothing, sums.highest[r]);
    sums.highest[r] = w.highest;
    if (!last) *highest = w.highest;
    join(w, kWarpRows + r, sums.weights[r]);
    MICA_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      if (128 * v >= a.size) break;
      MICA_UNROLL
      for (int i = 0; i < 4; ++i)
        join(w, 2 * kWarpRows + (r * kVectors + v) * 4 + i, sums.out[r][v][i]);
    }
  }
  if (!last) clear(sums);
}

template <typename T>
MICA_DEVICE void write4(T* to, const float (&values)[4], float scale) {
  for (int i = 0; i < 4; ++i) to[i] = from_float<T>(finished(values[i], scale));
}

MICA_DEVICE void write_rows(const AttentionArgs& a, const Block& b, int work, const Sums& sums) {
  const bool partial = b.item->splits > 1;
  MICA_UNROLL
  for (int r = 0; r < kWarpRows; ++r) {
    const int tile_row = b.warp * kWarpRows + r;
    const AttentionRow row = row_of(a, *b.item, work % a.kv_heads, tile_row);
    if (!row.valid) continue;
    const int64_t state = static_cast<int64_t>(work) * a.state_rows + tile_row;
    if (partial && b.lane == 0) {
      a.norms[2 * state] = sums.highest[r];
      a.norms[2 * state + 1] = sums.weights[r];
    }
    const float scale =
        finish(sums.highest[r], sums.weights[r], a.sinks ? a.sinks + row.head : nullptr);
    MICA_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const int column = 128 * v + 4 * b.lane;
      if (column >= a.size) break;
      const auto& values = sums.out[r][v];
      const int64_t to = row.offset + column;
      if (partial)
        store16(a.states + state * a.size + column, pack16<float>(values));
      else if (a.activation == DType::kF32)
        write4(static_cast<float*>(a.out) + to, values, scale);
      else if (a.activation == DType::kBF16)
        write4(static_cast<bf16*>(a.out) + to, values, scale);
      else
        write4(static_cast<f16*>(a.out) + to, values, scale);
    }
  }
}

// One item for one kv head.
MICA_DEVICE void attend(const AttentionArgs& a, const Block& b, int work,
                        Where where = Where::here()) {
  const int kv_head = work % a.kv_heads;
  const AttentionRange range = range_of(a, *b.item);
  Sums sums;
  clear(sums);
  load_query(a, b, kv_head);
  bool total = false;
  for (int tile = range.begin; tile < range.end; ++tile) {
    const int first = tile * kPositions;
    load_tile(a, b, range, kv_head, first, a.keys, a.cache_keys);
    sync_threads(where);
    float scores[kWarpRows];
    multiply_keys(a, b, scores);
    weigh(a, b, first + b.lane, scores, sums, where);
    sync_threads(where);
    load_tile(a, b, range, kv_head, first, a.values, a.cache_values);
    sync_threads(where);
    multiply_values(a, b, sums);
    sync_threads(where);
    const bool last = tile + 1 == range.end;
    const bool ends = a.fold && (tile + 1) % b.item->split_tiles == 0;
    if (!last && !ends) continue;
    for (int r = 0; r < kWarpRows; ++r) sums.weights[r] = warp_sum(sums.weights[r], where);
    if (!last || total) end_split(a, b, total, last, sums);
    total = true;
  }
  write_rows(a, b, work, sums);
}

MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads, 2) void attention_f32_kernel(AttentionArgs a) {
  Shared shared;
  Block b;
  b.stride = a.size + 4;
  b.query = shared.take<float>(static_cast<size_t>(kRows * b.stride));
  b.tile = shared.take<float>(static_cast<size_t>(kPositions * b.stride));
  b.weights = shared.take<float>(kPositions * kRows);
  b.item = shared.take<AttentionItem>(1);
  b.thread = static_cast<int>(thread_index().x);
  b.lane = lane_index();
  b.warp = warp_index();
  grid_dependency_wait();
  const int blocks = static_cast<int>(grid_size().x);
  for (int work = static_cast<int>(block_index().x); work < a.items * a.kv_heads; work += blocks) {
    if (b.warp == 0) find_item<false>(a, work / a.kv_heads, b.item);
    sync_threads();
    if (b.item->sequence < 0) break;
    attend(a, b, work);
    if (work + blocks < a.items * a.kv_heads) sync_threads();  // before the item changes
  }
  grid_dependency_launch();
}

size_t bytes_of(int size) {
  return shared_bytes<float>(static_cast<size_t>(kRows * (size + 4))) +
         shared_bytes<float>(static_cast<size_t>(kPositions * (size + 4))) +
         shared_bytes<float>(kPositions * kRows) + shared_bytes<AttentionItem>(1);
}

void start(gpu::Stream& stream, const AttentionArgs& a, uint32_t blocks) {
  launch(stream, {"attention_f32", {blocks}, {kThreads}, bytes_of(a.size)}, attention_f32_kernel,
         a);
}

}  // namespace

AttentionKernel attention_f32(const AttentionArgs& args) {
  return {.tile_rows = kRows,
          .tile_positions = kPositions,
          .threads = kThreads,
          .shared_bytes = bytes_of(args.size),
          .fold_floats = kFoldFloats,
          .start = start};
}

}  // namespace mica::MICA_GPU

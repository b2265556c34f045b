// Attention of a tile of query rows over the paged cache, compiled once per instruction set.
//   computes   softmax(softcap(scale * q·k)) · v of each row, online over tiles of kKeyTile keys
//   work       a job: up to kRowTile rows that share a kv head, so that keys and values are read
//              once for all of them; few rows read the cache's dtype or codes in place, many rows
//              convert a tile to f32 first
//   precision  f32 throughout; a row's arithmetic depends on absolute positions alone, never on
//              the rows beside it: lanes are head elements in dots, positions in sums
#include "ops/attention/kernel.h"

#include "ops/cpu/vec.h"

namespace mica::kernels::MICA_ISA {
namespace {

constexpr int64_t kW = kLanes;
constexpr float kMinusInfinity = -__builtin_inff();
constexpr int64_t kDirectRows = 8;  // up to this many rows, converting in registers is cheaper
static_assert(kPad % (2 * kLanes) == 0 && kKeyTile % kLanes == 0);

int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}
int64_t larger_of(int64_t a, int64_t b) {
  return a > b ? a : b;
}

// Softmax state of the rows so far: highest score, sum of exponentials, weighted sum of values.
struct State {
  float* maximum;  // [kRowTile]
  float* sum;      // [kRowTile]
  float* values;   // [kRowTile, padded]
};

State state_at(float* memory) {
  return {memory, memory + kRowTile, memory + 2 * kRowTile};
}

void clear(const State& state, int64_t rows, int64_t pad) {
  for (int64_t r = 0; r < rows; ++r) state.maximum[r] = kMinusInfinity;
  for (int64_t r = 0; r < rows; ++r) state.sum[r] = 0;
  for (int64_t i = 0; i < rows * pad; ++i) state.values[i] = 0;
}

// total = total ⊕ part. One copy of this code: its rounding must not depend on the place of call.
__attribute__((noinline)) void merge(const State& total, const State& part, int64_t rows,
                                     int64_t pad) {
  for (int64_t r = 0; r < rows; ++r) {
    if (part.maximum[r] == kMinusInfinity) continue;
    const float maximum = total.maximum[r] > part.maximum[r] ? total.maximum[r] : part.maximum[r];
    const float a = exp_of(total.maximum[r] - maximum), b = exp_of(part.maximum[r] - maximum);
    total.maximum[r] = maximum;
    total.sum[r] = total.sum[r] * a + part.sum[r] * b;
    for (int64_t d = 0; d < pad; d += kW) {
      float* to = total.values + r * pad + d;
      store(to, load(to) * a + load(part.values + r * pad + d) * b);
    }
  }
}

// The rows of a job and where each of them looks.
struct Rows {
  const AttentionCall& call;
  const AttentionJob& job;
  int64_t count, pad, ratio;
  float* q;                                // [count, pad], scaled, zeros beyond head_dim
  float* scores;                           // [count, kKeyTile]
  int64_t begin[kRowTile], end[kRowTile];  // visible positions of each row
  int64_t first, last;                     // their union

  int64_t offset(int64_t r) const {  // of the row's head in q and out
    const int64_t row = job.row_begin + r;
    const int64_t token = job.first_token + row / ratio;
    return (token * call.heads + job.kv_head * ratio + row % ratio) * call.head_dim;
  }
};

void load_rows(Rows& rows) {
  rows.first = INT64_MAX;
  rows.last = 0;
  const int64_t size = rows.call.head_dim;
  for (int64_t r = 0; r < rows.count; ++r) {
    const float* q = rows.call.q + rows.offset(r);
    float* to = rows.q + r * rows.pad;
    for (int64_t d = 0; d < size; ++d) to[d] = q[d] * rows.call.scale;
    for (int64_t d = size; d < rows.pad; ++d) to[d] = 0;
    const int64_t position = rows.job.positions[(rows.job.row_begin + r) / rows.ratio];
    rows.end[r] = position + 1;
    rows.begin[r] = rows.call.window > 0 ? larger_of(0, position + 1 - rows.call.window) : 0;
    rows.first = smaller(rows.first, rows.begin[r]);
    rows.last = larger_of(rows.last, rows.end[r]);
  }
}

// A vector of the cache as the loops below read it: kW elements from element d on. What the
// elements of a group share is their step.
template <typename T>
struct Plain {
  const T* at;
  struct Step {};
  static constexpr int64_t kMostVectors = 8;  // of one row that are summed together
  static constexpr bool kCostly = false;      // to load
  static int64_t group(const Plain&, int64_t size) { return size; }
  MICA_VEC Step step(const Plain&, int64_t) { return {}; }
  MICA_VEC F load_from(const Plain& row, int64_t d, const Step&) { return load(row.at + d); }
  // The last elements, and zeros.
  MICA_VEC F load_tail(const Plain& row, int64_t d, int64_t size) {
    T tail[kW] = {};
    std::memcpy(tail, row.at + d, static_cast<size_t>(size - d) * sizeof(T));
    return load(tail);
  }
  MICA_VEC void prefetch(const Plain& row, int64_t size) {
    for (int64_t d = 0; d < size; d += 64 / static_cast<int64_t>(sizeof(T)))
      __builtin_prefetch(row.at + d);
  }
};

// Its codes, and the scale and bias of each group. A product and a sum are one operation where the
// instruction set has that, here as in every other place.
template <int kBits>
struct Coded {
  const uint8_t* codes;
  const float* steps;  // [groups, 2]
  int group_shift;
  struct Step {
    float scale, bias;
  };
  static constexpr int64_t kMostVectors = 4;
  static constexpr bool kCostly = true;
  static int64_t group(const Coded& row, int64_t) { return int64_t{1} << row.group_shift; }
  MICA_VEC Step step(const Coded& row, int64_t d) {
    const float* step = row.steps + 2 * (d >> row.group_shift);
    return {step[0], step[1]};
  }
  MICA_VEC F load_from(const Coded& row, int64_t d, const Step& step) {
    return load_codes<kBits>(row.codes + d * kBits / 8) * step.scale + step.bias;
  }
  MICA_VEC F load_tail(const Coded&, int64_t, int64_t) { return F{}; }  // never: groups are whole
  MICA_VEC void prefetch(const Coded& row, int64_t size) {
    for (int64_t byte = 0; byte < size * kBits / 8; byte += 64)
      __builtin_prefetch(row.codes + byte);
  }
};

// scores[r, k] = q[r] · keys[k] for R rows and K keys; each product sums over d in the same order.
template <typename V, int R, int K>
MICA_VEC void dot_block(const float* q, int64_t pad, const V* keys, int64_t size, float* scores) {
  F acc[R][K] = {};
  const int64_t group = V::group(keys[0], size);
  for (int64_t begin = 0; begin < size; begin += group) {
    typename V::Step step[K];
    for (int k = 0; k < K; ++k) step[k] = V::step(keys[k], begin);
    for (int64_t d = begin; d < begin + group; d += kW) {
      F key[K];
      for (int k = 0; k < K; ++k) key[k] = V::load_from(keys[k], d, step[k]);
      for (int r = 0; r < R; ++r) {
        const F query = load(q + r * pad + d);
        for (int k = 0; k < K; ++k) acc[r][k] += query * key[k];
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int k = 0; k < K; ++k) scores[r * kKeyTile + k] = sum(acc[r][k]);
}

template <typename V, int K>
void dot_rows(const Rows& rows, const V* keys, int64_t size, int64_t j) {
  int64_t r = 0;
  if constexpr (V::kCostly && K == 4) {  // four rows, a usual group of heads, by one conversion
    constexpr int kKeys = kLanes == 16 ? 4 : 2;  // for which there are registers
    for (; r + 4 <= rows.count; r += 4)
      for (int k = 0; k < K; k += kKeys)
        dot_block<V, 4, kKeys>(rows.q + r * rows.pad, rows.pad, keys + j + k, size,
                               rows.scores + r * kKeyTile + j + k);
  }
  for (; r + 3 <= rows.count; r += 3)
    dot_block<V, 3, K>(rows.q + r * rows.pad, rows.pad, keys + j, size,
                       rows.scores + r * kKeyTile + j);
  for (; r < rows.count; ++r)
    dot_block<V, 1, K>(rows.q + r * rows.pad, rows.pad, keys + j, size,
                       rows.scores + r * kKeyTile + j);
}

// Scores of the keys [j0, j1) of a tile; the values' lines are asked for meanwhile.
template <typename V>
void score_tile(const Rows& rows, const V* keys, const V* values, int64_t size, int64_t j0,
                int64_t j1) {
  const auto fetch = [&](int64_t j) { V::prefetch(values[j], size); };
  int64_t j = j0;
  for (; j + 4 <= j1; j += 4) {
    for (int64_t k = 0; k < 4; ++k) fetch(j + k);
    dot_rows<V, 4>(rows, keys, size, j);
  }
  for (; j < j1; ++j) {
    fetch(j);
    dot_rows<V, 1>(rows, keys, size, j);
  }
}

// Turns a tile's scores into weights exp(score - maximum), 0 where the row does not look, and
// brings the state to the new maximum. `base` is the position of the tile's first key.
void soften_tile(const Rows& rows, const State& state, int64_t base, int64_t j0, int64_t j1) {
  for (int64_t r = 0; r < rows.count; ++r) {
    float* scores = rows.scores + r * kKeyTile;
    const int64_t from = larger_of(j0, rows.begin[r] - base);
    const int64_t to = smaller(j1, rows.end[r] - base);
    if (from >= to) {
      for (int64_t j = 0; j < kKeyTile; ++j) scores[j] = 0;
      continue;
    }
    for (int64_t j = 0; j < from; ++j) scores[j] = kMinusInfinity;
    for (int64_t j = to; j < kKeyTile; ++j) scores[j] = kMinusInfinity;
    F highest_lanes = splat(kMinusInfinity);
    for (int64_t j = 0; j < kKeyTile; j += kW) {
      F score = load(scores + j);
      if (rows.call.softcap > 0) {
        // -inf stays a mask: tanh would make it -cap.
        const F capped = tanh(score / rows.call.softcap) * rows.call.softcap;
        score = score > kMinusInfinity ? capped : score;
        store(scores + j, score);
      }
      highest_lanes = larger(highest_lanes, score);
    }
    const float tile_maximum = highest(highest_lanes);
    const float maximum = state.maximum[r] > tile_maximum ? state.maximum[r] : tile_maximum;
    F sums = {};
    for (int64_t j = 0; j < kKeyTile; j += kW) {
      const F weight = exp(load(scores + j) - maximum);
      store(scores + j, weight);
      sums += weight;
    }
    const float correction = exp_of(state.maximum[r] - maximum);
    state.maximum[r] = maximum;
    state.sum[r] = state.sum[r] * correction + sum(sums);
    if (correction == 1) continue;
    float* values = state.values + r * rows.pad;
    for (int64_t d = 0; d < rows.pad; d += kW) store(values + d, load(values + d) * correction);
  }
}

// values[r, d .. d + D vectors) += sum over j of weight[r, j] * value[j], j ascending. The elements
// are of one group.
template <typename V, int R, int D>
MICA_VEC void weigh_block(const float* weights, const V* values, int64_t pad, int64_t d, int64_t j0,
                          int64_t j1, float* to) {
  F acc[R][D];
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < D; ++i) acc[r][i] = load(to + r * pad + d + i * kW);
  for (int64_t j = j0; j < j1; ++j) {
    const typename V::Step step = V::step(values[j], d);
    F value[D];
    for (int i = 0; i < D; ++i) value[i] = V::load_from(values[j], d + i * kW, step);
    for (int r = 0; r < R; ++r)
      for (int i = 0; i < D; ++i) acc[r][i] += weights[r * kKeyTile + j] * value[i];
  }
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < D; ++i) store(to + r * pad + d + i * kW, acc[r][i]);
}

// Columns outside, so that a strip of the values stays in the first cache for all rows. About eight
// sums run at a time, which hides the latency of their additions.
template <typename V>
void weigh_tile(const Rows& rows, const State& state, const V* values, int64_t size, int64_t j0,
                int64_t j1) {
  const auto block = [&]<int R, int D>(int64_t r, int64_t d) {
    weigh_block<V, R, D>(rows.scores + r * kKeyTile, values, rows.pad, d, j0, j1,
                         state.values + r * rows.pad);
  };
  const int64_t fours = rows.count / 4 * 4, group = V::group(values[j0], size);
  for (int64_t d = 0; d < size && fours > 0;) {
    const bool two = d + 2 * kW <= size && 2 * kW <= group;
    for (int64_t r = 0; r < fours; r += 4)
      two ? block.template operator()<4, 2>(r, d) : block.template operator()<4, 1>(r, d);
    d += two ? 2 * kW : kW;
  }
  constexpr int64_t kMost = V::kMostVectors;
  for (int64_t r = fours; r < rows.count; ++r) {
    int64_t d = 0;
    for (; d + kMost * kW <= size && kMost * kW <= group; d += kMost * kW)
      block.template operator()<1, kMost>(r, d);
    for (; d + 2 * kW <= size && 2 * kW <= group; d += 2 * kW)
      block.template operator()<1, 2>(r, d);
    for (; d < size; d += kW) block.template operator()<1, 1>(r, d);
  }
}

template <typename V>
void process_tile(const Rows& rows, const State& state, const V* keys, const V* values,
                  int64_t size, int64_t base, int64_t j0, int64_t j1) {
  score_tile(rows, keys, values, size, j0, j1);
  soften_tile(rows, state, base, j0, j1);
  weigh_tile(rows, state, values, size, j0, j1);
}

// f32 copies of vectors [j0, j1), zeros beyond the head size.
template <typename V>
void widen(const V* from, int64_t size, int64_t pad, int64_t j0, int64_t j1, float* to,
           Plain<float>* rows) {
  const int64_t stride = pad + 16;  // not a power of two: columns spread over the cache's sets
  for (int64_t j = j0; j < j1; ++j) {
    float* row = to + j * stride;
    rows[j] = {row};
    int64_t d = 0;
    for (; d + kW <= size; d += kW) store(row + d, V::load_from(from[j], d, V::step(from[j], d)));
    if (d < size) {
      store(row + d, V::load_tail(from[j], d, size));
      d += kW;
    }
    for (; d < pad; ++d) row[d] = 0;
  }
}

// The vectors of the positions base + [j0, j1) of `cache` as they lie there.
template <typename T>
struct PlainTile {
  using Vector = Plain<T>;
  static constexpr bool kWide = sizeof(T) == 4;
  static void find(const Rows& rows, const void* cache, int64_t base, int64_t j0, int64_t j1,
                   float*, Vector* vectors) {
    const AttentionCall& call = rows.call;
    for (int64_t j = j0; j < j1; ++j) {
      const int64_t block = rows.job.blocks[(base + j) / call.block_size];
      const int64_t row = (block * call.kv_heads + rows.job.kv_head) * call.block_size +
                          (base + j) % call.block_size;
      vectors[j] = {static_cast<const T*>(cache) + row * call.head_dim};
    }
  }
};

MICA_VEC float number(float value) {
  return value;
}
MICA_VEC float number(Bf16 value) {
  return bits_as<float>(uint32_t{value.bits} << 16);
}
MICA_VEC float number(F16 value) {
  F16 four[4] = {value, value, value, value};
  return load<4>(four)[0];
}

// T: of scales and biases, which become f32 in `steps`.
template <int kBits, typename T>
struct CodedTile {
  using Vector = Coded<kBits>;
  static constexpr bool kWide = false;
  static void find(const Rows& rows, const void* cache, int64_t base, int64_t j0, int64_t j1,
                   float* steps, Vector* vectors) {
    const AttentionCall& call = rows.call;
    const CacheCodes& codes = call.codes;
    const int64_t numbers = 2 * codes.groups;
    for (int64_t j = j0; j < j1; ++j) {
      const int64_t block = rows.job.blocks[(base + j) / call.block_size];
      const int64_t offset = (base + j) % call.block_size;
      const auto* piece =
          static_cast<const uint8_t*>(cache) +
          (block * call.kv_heads + rows.job.kv_head) * call.block_size * codes.vector_bytes;
      const auto* pairs =
          reinterpret_cast<const T*>(piece + call.block_size * codes.code_bytes) + offset * numbers;
      float* to = steps + j * numbers;
      for (int64_t i = 0; i < numbers; ++i) to[i] = number(pairs[i]);
      vectors[j] = {piece + offset * codes.code_bytes, to, codes.group_shift};
    }
  }
};

// One range of positions, tile by tile; `tiles` holds the f32 copies of keys and values, and the
// steps of quantized ones.
template <typename Tile>
void attend_range(const Rows& rows, const State& state, int64_t begin, int64_t end, float* tiles) {
  const int64_t size = rows.call.head_dim, tile_floats = kKeyTile * (rows.pad + 16);
  const bool direct = size % kW == 0 && (rows.count <= kDirectRows || Tile::kWide);
  float* steps = tiles + 2 * tile_floats;
  for (int64_t base = begin / kKeyTile * kKeyTile; base < end; base += kKeyTile) {
    const int64_t j0 = larger_of(begin - base, 0), j1 = smaller(end - base, kKeyTile);
    typename Tile::Vector keys[kKeyTile], values[kKeyTile];
    Tile::find(rows, rows.call.keys, base, j0, j1, steps, keys);
    Tile::find(rows, rows.call.values, base, j0, j1, steps + step_floats(size), values);
    if (direct) {
      process_tile(rows, state, keys, values, size, base, j0, j1);
      continue;
    }
    Plain<float> wide_keys[kKeyTile], wide_values[kKeyTile];
    widen(keys, size, rows.pad, j0, j1, tiles, wide_keys);
    widen(values, size, rows.pad, j0, j1, tiles + tile_floats, wide_values);
    const int64_t used = (size + kW - 1) / kW * kW;
    process_tile(rows, state, wide_keys, wide_values, used, base, j0, j1);
  }
}

template <typename T>
void attend_range(int bits, const Rows& rows, const State& state, int64_t begin, int64_t end,
                  float* tiles) {
  switch (bits) {
    case 8: return attend_range<CodedTile<8, T>>(rows, state, begin, end, tiles);
    case 4: return attend_range<CodedTile<4, T>>(rows, state, begin, end, tiles);
    default: return attend_range<PlainTile<T>>(rows, state, begin, end, tiles);
  }
}

void attend_range(const Rows& rows, const State& state, int64_t begin, int64_t end, float* tiles) {
  const int bits = rows.call.codes.bits;
  switch (rows.call.type) {
    case CacheType::kF32: return attend_range<float>(bits, rows, state, begin, end, tiles);
    case CacheType::kBF16: return attend_range<Bf16>(bits, rows, state, begin, end, tiles);
    case CacheType::kF16: return attend_range<F16>(bits, rows, state, begin, end, tiles);
  }
}

// out = values / (sum + exp(sink - maximum)).
void finish(const Rows& rows, const State& state) {
  for (int64_t r = 0; r < rows.count; ++r) {
    const float* values = state.values + r * rows.pad;
    float scale = 1, total = state.sum[r];
    if (rows.call.sinks != nullptr) {
      const int64_t head = rows.job.kv_head * rows.ratio + (rows.job.row_begin + r) % rows.ratio;
      const float sink = rows.call.sinks[head];
      const float maximum = state.maximum[r] > sink ? state.maximum[r] : sink;
      scale = exp_of(state.maximum[r] - maximum);
      total = total * scale + exp_of(sink - maximum);
    }
    const float factor = scale / total;
    float* out = rows.call.out + rows.offset(r);
    for (int64_t d = 0; d < rows.call.head_dim; ++d) out[d] = values[d] * factor;
  }
}

Rows rows_of(const AttentionCall& call, const AttentionJob& job) {
  return {call,
          job,
          job.row_end - job.row_begin,
          padded(call.head_dim),
          call.heads / call.kv_heads,
          nullptr,
          nullptr,
          {},
          {},
          0,
          0};
}

}  // namespace

void attend(const AttentionCall& call, const AttentionJob& job, float* scratch) {
  Rows rows = rows_of(call, job);
  rows.q = scratch;
  rows.scores = rows.q + kRowTile * rows.pad;
  float* states = rows.scores + kRowTile * kKeyTile;
  const State part = state_at(states);
  const State total =
      state_at(job.partial != nullptr ? job.partial : states + state_floats(call.head_dim));
  float* tiles = states + 2 * state_floats(call.head_dim);
  load_rows(rows);
  clear(total, rows.count, rows.pad);
  for (int64_t split = job.split_begin; split < job.split_end; ++split) {
    const int64_t begin = larger_of(split * kSplit, rows.first);
    const int64_t end = smaller((split + 1) * kSplit, rows.last);
    if (begin >= end) continue;
    clear(part, rows.count, rows.pad);
    attend_range(rows, part, begin, end, tiles);
    merge(total, part, rows.count, rows.pad);
  }
  if (job.partial == nullptr) finish(rows, total);
}

void merge_partials(const AttentionCall& call, const AttentionJob& job, const float* partials,
                    int64_t count, float* scratch) {
  const Rows rows = rows_of(call, job);
  const State total = state_at(scratch);
  clear(total, rows.count, rows.pad);
  for (int64_t i = 0; i < count; ++i)
    merge(total, state_at(const_cast<float*>(partials) + i * state_floats(call.head_dim)),
          rows.count, rows.pad);
  finish(rows, total);
}

}  // namespace mica::kernels::MICA_ISA

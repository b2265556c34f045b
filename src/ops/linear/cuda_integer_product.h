// What the two product kernels of the integer family share: a unit's sums, and the output.
//
//   computes   y[n] = sum over units u of xs[u] * (sum over the unit's groups of
//              s[n, g] * dot(codes, q)) + sum over groups of b[n, g] * X[g], X the sum of xs * q
//   exact      dot in s32 by tensor cores: sums of codes * high and of codes * low, each below 2^22
//   order      in f32, unit by unit, within a segment of K; the segments' sums in order. So a row's
//              bits depend on neither the other rows nor the kernel
#pragma once

#include "ops/linear/cuda_integer_slots.h"
#include "ops/linear/cuda_integer_unpack.h"

namespace mica::MICA_GPU {

// Sums start from this integer; read as f32, kSumStart + i is kSumOffset + i for |i| < 2^22.
constexpr int32_t kSumStart = 0x4b400000;
constexpr float kSumOffset = 0x1.8p23f;

// First chunk of a segment of K.
MICA_DEVICE int segment_begin(int segment, int chunks) {
  return chunks * segment / gpu::kSegments;
}

// A row tile's unit in registers.
template <IntegerFormat kFormat>
struct UnitWeights {
  Fragment codes;
  UnitScales<kFormat> scales;
};

// From shared memory; codes and scales are the unit's.
template <IntegerFormat kFormat>
MICA_DEVICE UnitWeights<kFormat> take_unit(SharedPlace codes, SharedPlace scales, int lane,
                                           ScaleKind kind) {
  UnitWeights<kFormat> w;
  CodeWords<kFormat> words;
  load_codes<kFormat>(codes + lane * CodeWords<kFormat>::kLaneStep, lane, words);
  unpack_codes<kFormat>(words, w.codes);
  ScaleWords scale_words = {};
  const SharedPlace own = scales + lane / 4 * scale_bytes_of<kFormat>(kind);
  load_scales<kFormat>(own, kind, scale_words);
  w.scales = unpack_scales<kFormat>(scale_words, own, kind);
  return w;
}

// What loops over units need of a layout, in registers.
struct UnitSteps {
  int chunk_bytes, code_start, code_step, scale_step;
  ScaleKind kind;
};
MICA_DEVICE UnitSteps steps_of(const gpu::IntegerLayout& l) {
  return {static_cast<int>(l.chunk_bytes),
          static_cast<int>(l.scale_bytes),
          static_cast<int>(l.code_step),
          static_cast<int>(l.scale_step),
          {l.group == 32, l.scale_type}};
}

// 16-byte pieces of a chunk that a lane copies, at most: groups of 32 with scales in f32.
template <IntegerFormat kFormat>
inline constexpr int kChunkPieces = (256 * kBitsOf<kFormat> + (kAffine<kFormat> ? 512 : 128) +
                                     511) /
                                    512;

// The lane's pieces of a chunk of `bytes`, whose places include lane * 16.
template <int kPieces>
MICA_DEVICE void copy_chunk(SharedPlace to, const std::byte* from, int bytes, int lane,
                            Where where = Where::here()) {
  MICA_UNROLL
  for (int i = 0; i < kPieces; ++i)
    if (i * 512 + lane * 16 < bytes) cp_async16(to + i * 512, from + i * 512, where);
}

// d = codes of columns 32s to 32s + 31, times words 2s and 2s + 1 of a lane's activations, + c.
template <IntegerFormat kFormat>
MICA_DEVICE void multiply_half(int32_t (&d)[4], const Fragment& a, int s, const Bytes16& x,
                               const int32_t (&c)[4], Where where) {
  const uint32_t b[2] = {x.word[2 * s], x.word[2 * s + 1]};
  if constexpr (kAffine<kFormat>)
    mma_m16n8k32_u8s8(d, a[s], b, c, where);
  else
    mma_m16n8k32_s8(d, a[s], b, c, where);
}

// Exact: the integer that a sum holds, times a power of two.
MICA_DEVICE float integer_of(int32_t sum, float factor) {
  const float shifted = as_float(static_cast<uint32_t>(sum));
  return factor == 1 ? shifted - kSumOffset : fmaf(shifted, factor, -factor * kSumOffset);
}

// The activations of eight slots (of four where kFour) in a unit, for one lane, as they lie in
// memory: prefetched, so that nothing may ask for their values. The lane's results are those of
// slots 2t and 2t + 1 (of slot t).
template <bool kFour>
struct UnitColumns {
  static constexpr int kSlots = kFour ? 1 : 2;
  Bytes16 part[kSlots];  // high and low; four slots: both, by lanes
  Bytes16 sums, more;    // more: of eight slots with groups of 32

  MICA_DEVICE float scale(int slot) const { return as_float(sums.word[slot]); }
  MICA_DEVICE float sum(int slot) const { return as_float(sums.word[kSlots + slot]); }
  MICA_DEVICE float half(int i, int slot) const {
    return as_float(kFour ? sums.word[2 + i] : more.word[2 * i + slot]);
  }
};

// codes, sums: of the lane; ordinary pointers or SharedPlace.
template <IntegerFormat kFormat, bool kFour, typename Place>
MICA_DEVICE void take_columns(UnitColumns<kFour>& x, Place codes, Place sums, bool halves) {
  MICA_UNROLL
  for (int i = 0; i < UnitColumns<kFour>::kSlots; ++i) x.part[i] = load16(codes + i * 512);
  if (kAffine<kFormat> && (kFour || !halves)) {
    x.sums = load16(sums);
    return;
  }
  const Bytes8 scales = load8(sums);
  x.sums.word[0] = scales.word[0];
  x.sums.word[1] = scales.word[1];
  if constexpr (kAffine<kFormat> && !kFour) x.more = load16(sums + 16);
}

// Of slot `slot` of eight (of four) and of those whose results the lane has; bytes from a unit of
// `slots` slots.
template <bool kFour>
MICA_DEVICE int codes_place(int slot, int lane) {
  return kFour ? slot * 128 + lane % 8 * 16 : slot * 64 + lane % 4 * 16;
}
template <bool kFour>
MICA_DEVICE int sums_place(int slots, int pair) {
  return slots * 128 + pair * (kFour ? 16 : 32);
}

// Scaled sums of a unit: element i * kSlots + j is row g + 8i and the lane's slot j.
template <bool kFour>
struct UnitSums {
  float value[2 * UnitColumns<kFour>::kSlots];
};

// Adds a group's scaled sums, or sets them.
template <IntegerFormat kFormat, bool kFirst, bool kFour>
MICA_DEVICE void add_group(const int32_t (&high)[4], const int32_t (&low)[4], const RowScales& w,
                           UnitSums<kFour>& sums) {
  constexpr int kSlots = UnitColumns<kFour>::kSlots;
  constexpr float kFactor = kSumFactor<kFormat>;
  MICA_UNROLL
  for (int i = 0; i < 2; ++i) {
    MICA_UNROLL
    for (int j = 0; j < kSlots; ++j) {
      // Of four slots, the high and low products stand side by side in one sum.
      const float h = integer_of(kFour ? high[2 * i] : high[2 * i + j], 1);
      const float l = integer_of(kFour ? high[2 * i + 1] : low[2 * i + j], kFactor);
      const float dot = fmaf(256 * kFactor, h, l);
      float& sum = sums.value[i * kSlots + j];
      sum = kFirst ? dot * w.scale[i] : fmaf(dot, w.scale[i], sum);
    }
  }
}

// results += offset * sum of a group's activations, which is sum_of(slot).
template <bool kFour, typename SumOf>
MICA_DEVICE void add_offsets(const RowScales& w, UnitSums<kFour>& results, SumOf&& sum_of) {
  constexpr int kSlots = UnitColumns<kFour>::kSlots;
  MICA_UNROLL
  for (int i = 0; i < 2; ++i) {
    MICA_UNROLL
    for (int j = 0; j < kSlots; ++j)
      results.value[i * kSlots + j] = fmaf(w.offset[i], sum_of(j), results.value[i * kSlots + j]);
  }
}

template <bool kFour>
MICA_DEVICE void add_scaled(const UnitColumns<kFour>& x, const UnitSums<kFour>& sums,
                            UnitSums<kFour>& results) {
  constexpr int kSlots = UnitColumns<kFour>::kSlots;
  MICA_UNROLL
  for (int i = 0; i < 2 * kSlots; ++i)
    results.value[i] = fmaf(sums.value[i], x.scale(i % kSlots), results.value[i]);
}

// Products of group `i` of a unit.
template <IntegerFormat kFormat, bool kFour>
MICA_DEVICE void multiply_group(const UnitWeights<kFormat>& w, const UnitColumns<kFour>& x, int i,
                                bool halves, int32_t (&high)[4], int32_t (&low)[4], Where where) {
  const int32_t start[4] = {kSumStart, kSumStart, kSumStart, kSumStart};
  if constexpr (kFormat == IntegerFormat::kNvfp4) {
    const uint32_t* a = &w.codes[i / 2][i % 2 * 2];
    mma_m16n8k16_s8(high, a[0], a[1], x.part[0].word[i], start, where);
    if constexpr (!kFour) mma_m16n8k16_s8(low, a[0], a[1], x.part[1].word[i], start, where);
    return;
  }
  multiply_half<kFormat>(high, w.codes, i, x.part[0], start, where);
  if constexpr (!kFour) multiply_half<kFormat>(low, w.codes, i, x.part[1], start, where);
  if (halves) return;
  multiply_half<kFormat>(high, w.codes, 1, x.part[0], high, where);
  if constexpr (!kFour) multiply_half<kFormat>(low, w.codes, 1, x.part[1], low, where);
}

// Adds a unit of a row tile to the lane's results.
template <IntegerFormat kFormat, bool kFour>
MICA_DEVICE void add_unit(const UnitWeights<kFormat>& w, const UnitColumns<kFour>& x, bool halves,
                          UnitSums<kFour>& results, Where where = Where::here()) {
  constexpr int kGroups = kFormat == IntegerFormat::kNvfp4 ? 4 : 2;
  int32_t high[4], low[4] = {};
  UnitSums<kFour> sums;
  if (!kAffine<kFormat> || halves) {
    multiply_group(w, x, 0, true, high, low, where);
    add_group<kFormat, true>(high, low, scales_of<kFormat>(w.scales, 0), sums);
    MICA_UNROLL
    for (int i = 1; i < kGroups; ++i) {
      multiply_group(w, x, i, true, high, low, where);
      add_group<kFormat, false>(high, low, scales_of<kFormat>(w.scales, i), sums);
    }
    add_scaled(x, sums, results);
    if constexpr (kAffine<kFormat>) {
      MICA_UNROLL
      for (int i = 0; i < 2; ++i)
        add_offsets(scales_of<kFormat>(w.scales, i), results,
                    [&](int slot) { return x.half(i, slot); });
    }
  } else {
    multiply_group(w, x, 0, false, high, low, where);
    add_group<kFormat, true>(high, low, scales_of<kFormat>(w.scales, 0), sums);
    add_scaled(x, sums, results);
    add_offsets(scales_of<kFormat>(w.scales, 0), results, [&](int slot) { return x.sum(slot); });
  }
}

// The weights of a row tile, or of the last one where there is none.
MICA_DEVICE const std::byte* weights_of(const ProductTarget& t, int expert, int tile) {
  const int row_tile = tile < t.layout.row_tiles ? tile : t.layout.row_tiles - 1;
  return t.weights + static_cast<size_t>(expert) * t.expert_bytes +
         static_cast<size_t>(row_tile) * t.layout.tile_bytes;
}

// The target that row block `block` of the launch belongs to.
MICA_DEVICE int target_of(const Product& p, int block) {
  int i = 0;
  while (i + 1 < p.targets && block >= p.target[i + 1].first_block) ++i;
  return i;
}

template <typename T>
MICA_DEVICE void store_value(const ProductTarget& t, int64_t at, float value) {
  T* out = static_cast<T*>(t.out) + at;
  *out = from_float<T>(t.add ? to_float(*out) + value : value);
}

// sum: of row n of an expert's weights and row `row` of out.
MICA_DEVICE void store_result(const ProductTarget& t, int expert, int n, int row, float sum) {
  const float value = t.bias ? sum + t.bias[static_cast<int64_t>(expert) * t.layout.rows + n] : sum;
  const int64_t at = static_cast<int64_t>(row) * t.layout.rows + n;
  if (t.out_type == DType::kF32)
    store_value<float>(t, at, value);
  else if (t.out_type == DType::kBF16)
    store_value<bf16>(t, at, value);
  else
    store_value<f16>(t, at, value);
}

}  // namespace mica::MICA_GPU

// The CPU's matrix product kernels, written once over a set of primitives S (ops/cpu/simd_*.h) and
// compiled for each instruction set by cpu_kernels_*.cpp.
//
//   computes   y[t, n] = sum_k x[t, k] * w[n, k] (+ bias[n]) (+ y[t, n]) for row blocks of 16
//   integer    x[t, k] = xs * i (16-bit i, one xs per group), w = scale * q + offset. Within a
//   group
//              sum i * q is exact in i32: 255 * 32767 * 128 < 2^31. Then in f32, group by group:
//              acc = fma(f32(sum) * xs, scale, acc); acc = fma(offset, xs * sum i, acc)
//   float      w as f32, acc = fma(w, x, acc), column by column
//   order      one order of f32 operations for each element, whatever the number of tokens: few
//              tokens unpack weights in registers, more unpack a panel of columns once for all
#pragma once

#include "ops/linear/cpu_unpack.h"

namespace mica::kernels {

// Floats between two row blocks' unpacked panels, and between their scales.
constexpr int64_t kTileStride = kWorkTile, kScaleStride = kWorkScales;

// An unpacked panel of one or more row blocks, ready for any number of token blocks.
struct Panel {
  const float* tile;  // pairs (as i32), [.][16]
  int64_t groups;
  int64_t group;         // columns
  const float* scales;   // [groups][16]
  const float* offsets;  // [groups][16]
};

// A panel of one row block as it lies in memory.
struct PackedPanel {
  const std::byte *weights, *scales, *offsets;
  ScaleType scale_type;
  int64_t groups;
  int64_t group;  // columns
};

// E2M1 values are kept times two.
template <L kLayout>
constexpr float kScaleFactor = kLayout == L::kFp4 ? 0.5f : 1.0f;

// One token block's share of a panel.
struct Activations {
  const int32_t* pairs;
  const float* scales;
  const float* sums;
};

template <L kLayout>
constexpr bool has_offsets() {
  return kLayout != L::kFp4;
}

template <class S, int T, bool kOffsets>
MICA_INLINE void add_group(const typename S::I32 (&sum)[T], typename S::F32 scale,
                           typename S::F32 offset, const Activations& x, int64_t g,
                           typename S::F32 (&acc)[T]) {
#pragma GCC unroll 12
  for (int t = 0; t < T; ++t)
    acc[t] = S::fma(S::mul(S::to_f32(sum[t]), S::broadcast(x.scales[g * T + t])), scale, acc[t]);
  if constexpr (kOffsets) {
#pragma GCC unroll 12
    for (int t = 0; t < T; ++t) acc[t] = S::fma(offset, S::broadcast(x.sums[g * T + t]), acc[t]);
  }
}

// Few tokens: unpacks weights in registers. acc [T][16].
template <class S, L kLayout, int T>
void integer_direct(const PackedPanel& p, const Activations& x, float* sums) {
  constexpr int kChains = S::kChains / T > 1 ? S::kChains / T : 1;
  const int64_t steps = p.group / step_columns<kLayout>();
  const std::byte* w = p.weights;
  const int32_t* pairs = x.pairs;
  typename S::F32 acc[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) acc[t] = S::load(sums + t * 16);
  for (int64_t g = 0; g < p.groups; ++g) {
    typename S::I32 chain[kChains][T];
#pragma GCC unroll 8  // every loop over chains, or they live in memory
    for (auto& c : chain)
#pragma GCC unroll 8
      for (auto& s : c) s = S::broadcast_i(0);
    for (int64_t i = 0; i < steps; ++i) {
      for (int64_t line = 0; line < step_bytes<kLayout>(); line += 64)
        S::prefetch(w + S::kPrefetchAhead + line);
      Step<S, kLayout>::pairs(w, [&](int pair, typename S::I32 weights) MICA_ALWAYS {
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) {
          auto& s = chain[pair % kChains][t];
          s = S::dot(s, weights, S::broadcast_i(pairs[pair * T + t]));
          S::keep(s);
        }
      });
      w += step_bytes<kLayout>();
      pairs += step_columns<kLayout>() / 2 * T;
    }
    typename S::I32 total[T];
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      total[t] = chain[0][t];
#pragma GCC unroll 8
      for (int c = 1; c < kChains; ++c) total[t] = S::add_i(total[t], chain[c][t]);
    }
    const auto scale = load_scale<S>(p.scales, p.scale_type, g, kScaleFactor<kLayout>);
    const auto offset =
        has_offsets<kLayout>() ? load_scale<S>(p.offsets, p.scale_type, g, 1) : S::zero();
    add_group<S, T, has_offsets<kLayout>()>(total, scale, offset, x, g, acc);
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) S::store(sums + t * 16, acc[t]);
}

// Many tokens, R row blocks side by side so that an activation serves R products: weights unpacked
// before. Panel, tile and scales of block r lie kTileStride and kScaleStride floats further, its
// sums `stride`.
template <class S, int T, int R, bool kOffsets>
void integer_tile(const Panel& p, const Activations& x, float* sums, int64_t stride) {
  const int64_t pairs_of_group = p.group / 2;
  const float* w = p.tile;
  const int32_t* pairs = x.pairs;
  for (int64_t g = 0; g < p.groups; ++g) {
    typename S::I32 sum[R][T];
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 12
      for (int t = 0; t < T; ++t) sum[r][t] = S::broadcast_i(0);
    for (int64_t i = 0; i < pairs_of_group; i += 2) {
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) {
        typename S::I32 weights[R];
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r) weights[r] = S::load_i(w + r * kTileStride + j * 16);
#pragma GCC unroll 12
        for (int t = 0; t < T; ++t) {
          const auto x_pair = S::broadcast_i(pairs[j * T + t]);
#pragma GCC unroll 2
          for (int r = 0; r < R; ++r) {
            sum[r][t] = S::dot(sum[r][t], weights[r], x_pair);
            S::keep(sum[r][t]);
          }
        }
      }
      w += 32;
      pairs += 2 * T;
    }
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r) {
      typename S::F32 acc[T];
#pragma GCC unroll 12
      for (int t = 0; t < T; ++t) acc[t] = S::load(sums + r * stride + t * 16);
      const int64_t at = r * kScaleStride + g * 16;
      const auto offset = kOffsets ? S::load(p.offsets + at) : S::zero();
      add_group<S, T, kOffsets>(sum[r], S::load(p.scales + at), offset, x, g, acc);
#pragma GCC unroll 12
      for (int t = 0; t < T; ++t) S::store(sums + r * stride + t * 16, acc[t]);
    }
  }
}

template <class S, int T>
void float_tile(const float* tile, int64_t columns, const float* x, float* sums) {
  typename S::F32 acc[T];
#pragma GCC unroll 12
  for (int t = 0; t < T; ++t) acc[t] = S::load(sums + t * 16);
#pragma GCC unroll 2
  for (int64_t k = 0; k < columns; ++k) {
    const auto w = S::load(tile + k * 16);
#pragma GCC unroll 12
    for (int t = 0; t < T; ++t) acc[t] = S::fma(w, S::broadcast(x[k * T + t]), acc[t]);
  }
#pragma GCC unroll 12
  for (int t = 0; t < T; ++t) S::store(sums + t * 16, acc[t]);
}

// Dense weights, few tokens, R row blocks side by side (to hide fma's latency). sums [R][T][16].
template <class S, L kLayout, int T, int R>
void float_direct(const std::byte* weights, size_t stride, int64_t columns, const float* x,
                  float* sums) {
  constexpr int64_t kColumnBytes = layout_bits(kLayout) / 8 * kBlockRows;
  typename S::F32 acc[R][T];
  for (auto& a : acc)
    for (auto& v : a) v = S::zero();
  constexpr int kStep = 2;
  for (int64_t k = 0; k < columns; k += kStep) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const std::byte* w = weights + static_cast<size_t>(r) * stride + k * kColumnBytes;
      typename S::F32 even, odd;
      if constexpr (kLayout == L::kBF16) {
        const auto pair = S::load_i(w);
        even = S::bf16_even(pair);
        odd = S::bf16_odd(pair);
      } else if constexpr (kLayout == L::kF16) {
        const auto* half = reinterpret_cast<const uint16_t*>(w);
        even = S::load_f16(half);
        odd = S::load_f16(half + 16);
      } else {
        even = S::load(reinterpret_cast<const float*>(w));
        odd = S::load(reinterpret_cast<const float*>(w) + 16);
      }
      S::prefetch(w + S::kDenseAhead);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        acc[r][t] = S::fma(even, S::broadcast(x[k * T + t]), acc[r][t]);
        acc[r][t] = S::fma(odd, S::broadcast(x[(k + 1) * T + t]), acc[r][t]);
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t) S::store(sums + (r * T + t) * 16, acc[r][t]);
}

// Calls f.operator()<T>() for the T that equals `tokens`, 1 <= tokens <= kMax.
template <int kMax, class F>
MICA_INLINE void for_tokens(int tokens, F&& f) {
  if (tokens == kMax) {
    f.template operator()<kMax>();
    return;
  }
  if constexpr (kMax > 1) for_tokens<kMax - 1>(tokens, f);
}

}  // namespace mica::kernels

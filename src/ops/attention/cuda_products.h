// The products of attention with tensor cores: scores, their weights, and sums of values.
#pragma once

#include "ops/attention/cuda_state.h"
#include "ops/attention/cuda_tile.h"

namespace mica::MICA_GPU {

// The dtype's mma, and 1 twice.
MICA_DEVICE void multiply(bf16, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                          Where where) {
  mma_m16n8k16_bf16(d, a, b, where);
}
MICA_DEVICE void multiply(f16, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                          Where where) {
  mma_m16n8k16_f16(d, a, b, where);
}
template <typename T>
inline constexpr uint32_t kOnes = std::is_same_v<T, bf16> ? 0x3f803f80 : 0x3c003c00;

// The warp's scores of its 16 rows and kScores positions, whose keys begin at row `first`.
template <typename L>
MICA_DEVICE void multiply_keys(const AttentionArgs& a, const Block<L>& b, const Query<L>& query,
                               const typename L::T* keys, float (&scores)[L::kScores / 8][4],
                               Where where) {
  using T = typename L::T;
  const T* rows = keys + b.warp_d * L::kScores * L::kHead;
  float chains[L::kChains][L::kScores / 8][4] = {};
  MICA_UNROLL
  for (int k = 0; k < L::kHead / 16; ++k) {
    if (k % 2 == 0 && k * 16 >= a.size) break;
    uint32_t q[4];
    if constexpr (L::kQueryInRegisters) {
      MICA_UNROLL
      for (int i = 0; i < 4; ++i) q[i] = query.fragments[k][i];
    } else {
      load_rows(b, b.query + b.warp_m * 16 * L::kHead, k * 16, q, where);
    }
    auto& sums = chains[k % L::kChains];
    if constexpr (L::kScores == 8) {
      uint32_t keys_of[2];
      ldmatrix<2>(keys_of, rows + swizzled<L>(b.lane % 8, 2 * k + b.lane / 8 % 2), where);
      multiply(T{}, sums[0], q, keys_of, where);
    } else {
      MICA_UNROLL
      for (int n = 0; n < L::kScores / 16; ++n) {
        uint32_t pair[4];
        const int row = b.lane / 16 * 8 + b.lane % 8;
        ldmatrix<4>(pair, rows + n * 16 * L::kHead + swizzled<L>(row, 2 * k + b.lane / 8 % 2),
                    where);
        multiply(T{}, sums[2 * n], q, {pair[0], pair[1]}, where);
        multiply(T{}, sums[2 * n + 1], q, {pair[2], pair[3]}, where);
      }
    }
  }
  MICA_UNROLL
  for (int n = 0; n < L::kScores / 8; ++n) {
    MICA_UNROLL
    for (int i = 0; i < 4; ++i) {
      scores[n][i] = chains[0][n][i];
      if constexpr (L::kChains == 2) scores[n][i] += chains[1][n][i];
    }
  }
}

// Soft cap and mask; `first` is the position of the first score.
template <typename L>
MICA_DEVICE void adjust_scores(const AttentionArgs& a, const Block<L>& b, const Query<L>& query,
                               int first, float (&scores)[L::kScores / 8][4]) {
  if (a.softcap_out != 0) {
    MICA_UNROLL
    for (int n = 0; n < L::kScores / 8; ++n) {
      MICA_UNROLL
      for (int i = 0; i < 4; ++i)  // tanh(x) = 1 - 2 / (1 + e^2x)
        scores[n][i] = fmaf(-2 * a.softcap_out, 1 / (1 + exp2_approx(scores[n][i] * a.softcap_in)),
                            a.softcap_out);
    }
  }
  if (first + L::kScores - 1 <= query.min_position && first >= lowest_seen(a, query.max_position))
    return;
  const int lowest[2] = {lowest_seen(a, query.position[0]), lowest_seen(a, query.position[1])};
  MICA_UNROLL
  for (int n = 0; n < L::kScores / 8; ++n) {
    MICA_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int position = first + n * 8 + b.lane % 4 * 2 + i % 2;
      if (position > query.position[i / 2] || position < lowest[i / 2]) scores[n][i] = kNothing;
    }
  }
}

// The highest score of the thread's rows over the tile and all before.
template <typename L>
MICA_DEVICE void raise_highest(const Block<L>& b, const float (&scores)[L::kScores / 8][4],
                               bool has_scores, float (&highest)[2], Where where) {
  float own[2] = {kNothing, kNothing};
  if (has_scores) {
    MICA_UNROLL
    for (int n = 0; n < L::kScores / 8; ++n) {
      MICA_UNROLL
      for (int i = 0; i < 4; ++i) own[i / 2] = fmaxf(own[i / 2], scores[n][i]);
    }
    MICA_UNROLL
    for (int i = 0; i < 2; ++i) {
      MICA_UNROLL
      for (int lanes = 1; lanes < 4; lanes *= 2)
        own[i] = fmaxf(own[i],
                       as_float(shuffle_xor(kFullWarp, as_bits(own[i]), lanes, kWarpSize, where)));
    }
  }
  if constexpr (L::kWarpsD > 1) {
    const int row = b.warp_m * 16 + b.lane / 4;
    if (has_scores && b.lane % 4 == 0) {
      b.highest[b.warp_d * L::kRows + row] = own[0];
      b.highest[b.warp_d * L::kRows + row + 8] = own[1];
    }
    b.sync_rows(where);
    MICA_UNROLL
    for (int i = 0; i < 2; ++i) {
      MICA_UNROLL
      for (int warp = 0; warp < L::kScoreWarps; ++warp)
        highest[i] = fmaxf(highest[i], b.highest[warp * L::kRows + row + 8 * i]);
    }
  } else {
    for (int i = 0; i < 2; ++i) highest[i] = fmaxf(highest[i], own[i]);
  }
}

template <typename L>
MICA_DEVICE void scale_sums(const float (&scale)[2], Sums<L>& sums) {
  MICA_UNROLL
  for (int i = 0; i < 4; ++i) {
    sums.weights[i] *= scale[i / 2];
    MICA_UNROLL
    for (int n = 0; n < L::kColumns / 8; ++n) sums.out[n][i] *= scale[i / 2];
  }
}

// From scores to weights, in registers (kWarpsD = 1) or in shared memory.
template <typename L>
MICA_DEVICE void weigh(const AttentionArgs& a, const Block<L>& b, int first, const Query<L>& query,
                       const typename L::T* keys, Sums<L>& sums,
                       uint32_t (&weights)[L::kPositions / 16][4], Where where) {
  using T = typename L::T;
  float scores[L::kScores / 8][4];
  const bool has_scores = b.warp_d < L::kScoreWarps;
  first += b.warp_d * L::kScores;
  if (has_scores) {
    multiply_keys(a, b, query, keys, scores, where);
    adjust_scores(a, b, query, first, scores);
  }
  const float before[2] = {sums.highest[0], sums.highest[1]};
  raise_highest(b, scores, has_scores, sums.highest, where);
  float base[2], scale[2];
  MICA_UNROLL
  for (int i = 0; i < 2; ++i) {
    const float highest = sums.highest[i] == kNothing ? 0 : sums.highest[i];
    base[i] = -highest * a.factor;
    scale[i] = exp2_approx((before[i] - highest) * a.factor);
  }
  if (any(kFullWarp, scale[0] != 1 || scale[1] != 1, where)) scale_sums(scale, sums);
  if (!has_scores) return;
  MICA_UNROLL
  for (int n = 0; n < L::kScores / 8; ++n) {
    MICA_UNROLL
    for (int i = 0; i < 2; ++i) {
      const uint32_t pair =
          pack_pair<T>(exp2_approx(fmaf(scores[n][2 * i], a.factor, base[i])),
                       exp2_approx(fmaf(scores[n][2 * i + 1], a.factor, base[i])));
      if constexpr (L::kWarpsD == 1) {
        weights[n / 2][n % 2 * 2 + i] = pair;
      } else {
        const int row = b.warp_m * 16 + b.lane / 4 + 8 * i;
        const int column = b.warp_d * L::kScores + n * 8 + b.lane % 4 * 2;
        *reinterpret_cast<uint32_t*>(b.weights + row * L::kWeightStride + column) = pair;
      }
    }
  }
}

// sums += weights * values, in the warp's columns.
template <typename L>
MICA_DEVICE void multiply_values(const AttentionArgs& a, const Block<L>& b,
                                 const typename L::T* values, Sums<L>& sums,
                                 uint32_t (&weights)[L::kPositions / 16][4], Where where) {
  using T = typename L::T;
  MICA_UNROLL
  for (int k = 0; k < L::kPositions / 16; ++k) {
    if constexpr (L::kWarpsD > 1)
      ldmatrix<4>(
          weights[k],
          b.weights + (b.warp_m * 16 + b.lane % 16) * L::kWeightStride + k * 16 + b.lane / 16 * 8,
          where);
    multiply(T{}, sums.weights, weights[k], {kOnes<T>, kOnes<T>}, where);
  }
  constexpr int kTogether = L::kColumns < 32 ? 1 : 2;  // pairs of 8 columns without a branch
  MICA_UNROLL
  for (int n = 0; n < L::kColumns / 16; n += kTogether) {
    const int column = b.warp_d * L::kColumns + n * 16;
    if (column >= a.size) break;
    MICA_UNROLL
    for (int k = 0; k < L::kPositions / 16; ++k) {
      MICA_UNROLL
      for (int j = 0; j < kTogether; ++j) {
        uint32_t pair[4];
        ldmatrix<4, true>(
            pair,
            values + k * 16 * L::kHead + swizzled<L>(b.lane % 16, column / 8 + 2 * j + b.lane / 16),
            where);
        multiply(T{}, sums.out[2 * (n + j)], weights[k], {pair[0], pair[1]}, where);
        multiply(T{}, sums.out[2 * (n + j) + 1], weights[k], {pair[2], pair[3]}, where);
      }
    }
  }
}

}  // namespace mica::MICA_GPU

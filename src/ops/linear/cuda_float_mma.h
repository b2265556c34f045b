// Products of float weights by tensor cores.
#pragma once

#include "ops/linear/cuda_float_product.h"

namespace mica::MICA_GPU {

// The A operands of the two products that cover 32 columns: words as in the layout of bf16.
template <typename W>
MICA_DEVICE void read_operands(const Bytes16* stage, int, uint32_t (&a)[2][4]) {
  for (int s = 0; s < 2; ++s) {
    const Bytes16 piece = load16(stage + s * kWarpSize + lane_index());
    for (int i = 0; i < 4; ++i) a[s][i] = piece.word[i];
  }
}

// Two E4M3 codes in the upper bytes of the halves, as bf16 times a scale. Their bits in bf16's
// places are 2^-120 of their value (subnormal ones too), and both products are exact.
MICA_DEVICE uint32_t scaled_bf16x2(uint32_t codes, uint32_t scale) {
  const uint32_t small = (codes & 0x80008000u) | (codes >> 4 & 0x07f007f0u);
  return mul_bf16x2(mul_bf16x2(small, 0x7b807b80u), scale);  // 2^120
}
// 2^(code - 127) in both halves.
MICA_DEVICE uint32_t e8m0_bf16x2(uint32_t code) {
  return (code == 0 ? 0x0040u : code << 7) * 0x10001u;
}
template <>
MICA_DEVICE void read_operands<Mxfp8>(const Bytes16* stage, int part, uint32_t (&a)[2][4]) {
  const int lane = lane_index();
  const Bytes16 piece = load16(stage + part * kWarpSize + lane);
  const uint32_t codes =
      reinterpret_cast<const uint32_t*>(stage + kPanelBytes<Mxfp8> / 16)[lane] >> 8 * part;
  const uint32_t scale[2] = {e8m0_bf16x2(codes & 0xff), e8m0_bf16x2(codes >> 16 & 0xff)};
  for (int i = 0; i < 4; ++i) {
    a[i / 2][2 * (i % 2)] = scaled_bf16x2(piece.word[i] << 8, scale[0]);
    a[i / 2][2 * (i % 2) + 1] = scaled_bf16x2(piece.word[i], scale[1]);
  }
}

// kRows row tiles by kTokens tiles of 8 tokens.
template <typename W, int kTokens, int kRows>
struct MmaPath {
  using Weights = W;
  static constexpr int kTokenTiles = kTokens, kRowTiles = kRows;
  static constexpr int kFragments = kTokens * kRows;
  static constexpr int kStages = kRows == 1 ? 4 : 3;
  static constexpr int kRound = kRows == 1 ? 1 : 4;  // fragments summed between two barriers

  float sums[kRows][kTokens][4];
  uint32_t rows[kTokens];  // where the rows of this lane's tokens begin
  Bytes16 x[kTokens];

  MICA_DEVICE float sum(int fragment, int i) const {
    return sums[fragment / kTokens][fragment % kTokens][i];
  }

  MICA_DEVICE void start(const ProductArgs& args, int tile) {
    for (int n = 0; n < kTokens; ++n) {
      rows[n] = row_piece(args, (static_cast<int64_t>(tile) * kTokens + n) * 8 + lane_index() / 4);
      for (int m = 0; m < kRows; ++m)
        for (int i = 0; i < 4; ++i) sums[m][n][i] = 0;
    }
  }

  // The tokens' columns of one part of a panel; zeros for no token and beyond K.
  MICA_DEVICE void load(const ProductArgs& args, int panel, int part) {
    const int piece = panel * (Format<W>::kColumns / 8) + part * 4 + lane_index() % 4;
    for (int n = 0; n < kTokens; ++n) {
      x[n] = {{0, 0, 0, 0}};
      if (rows[n] != kNoRow && piece < args.pieces)
        x[n] = load16(args.x + rows[n] + static_cast<uint32_t>(piece));
    }
  }

  MICA_DEVICE void multiply(const ProductArgs&, int, const Bytes16* stage, int part) {
    for (int m = 0; m < kRows; ++m) {
      uint32_t a[2][4];
      read_operands<W>(stage + m * kStageTile<W>, part, a);
      for (int s = 0; s < 2; ++s)
        for (int n = 0; n < kTokens; ++n) {
          const uint32_t b[2] = {x[n].word[2 * s], x[n].word[2 * s + 1]};
          if constexpr (std::is_same_v<W, f16>)
            mma_m16n8k16_f16(sums[m][n], a[s], b);
          else
            mma_m16n8k16_bf16(sums[m][n], a[s], b);
        }
    }
  }

  MICA_DEVICE void end() {}
};

template <typename W>
void start_mma(gpu::GpuBackend& backend, const gpu::Slots& slots, ProductArgs args) {
  int64_t row_tiles = 0;
  for (const ProductTarget& target : args.targets) row_tiles += row_tiles_of(target.rows);
  // 64 tokens by 32 rows halve the reads of activations, but need a multiprocessor's work for each.
  const bool wide =
      slots.tile == 64 && row_tiles * (slots.count / 64) >= backend.properties().multiprocessors;
  if (wide) return start_product<MmaPath<W, 8, 2>>(backend, slots, args);
  if (slots.tile >= 32) return start_product<MmaPath<W, 4, 1>>(backend, slots, args);
  if (slots.tile == 16) return start_product<MmaPath<W, 2, 1>>(backend, slots, args);
  start_product<MmaPath<W, 1, 1>>(backend, slots, args);
}

}  // namespace mica::MICA_GPU

// The float family of matrix products: how weights are packed, and how kernels read them.
//
// A panel is 16 rows by 32 columns (mxfp8: 64). Lane 4g + t of the warp that takes it holds rows g
// and g + 8, and of every 32 columns 8t to 8t + 7, in pieces of 16 bytes. Piece i of all lanes lies
// together, so that a warp reads 512 bytes at once. Order: [E][N / 16][K / panel][piece][lane],
// with zeros beyond N and K.
//   bf16, f16  piece s, word 2i + r: row g + 8r, columns 8t + 4s + 2i and the next. Pieces are the
//   A
//              operands of two mma.m16n8k16 where column 2t + 8i of the tile means that column of
//              the panel; columns 8t to 8t + 7 of a token, as they lie, are then both B operands.
//   mxfp8      piece of 32 columns, word 2s + i: bytes {row g, row g + 8} of column 8t + 4s + 2i,
//              then of the next. Scales: [E][N / 16][K / 64][g], bytes {row g: both groups, row
//              g + 8: both groups}, E8M0; 255 (infinity) for a group that holds a NaN.
//   f32        piece 2r + h: row g + 8r, columns 8t + 4h to 8t + 4h + 3.
#pragma once

#include "ops/cuda/launch.h"
#include "ops/cuda/ptx.h"
#include "ops/cuda/vector.h"
#include "ops/linear/cuda_linear.h"

namespace mica::MICA_GPU {

inline constexpr int kTileRows = 16;
inline constexpr int kPieceBytes = 512;  // of all lanes

struct Mxfp8 {};  // stands for the format where others have their element type

template <typename W>
struct Format {
  static constexpr int kColumns = 32;  // of a panel
  static constexpr int kPieces = static_cast<int>(sizeof(W));
  static constexpr int kScaleBytes = 0;
};
template <>
struct Format<Mxfp8> {
  static constexpr int kColumns = 64;
  static constexpr int kPieces = 2;
  static constexpr int kScaleBytes = 32;  // of a panel
};
template <typename W>
inline constexpr int kPanelBytes = Format<W>::kPieces* kPieceBytes;

template <typename W>
constexpr int64_t panels_of(int64_t columns) {
  return (columns + Format<W>::kColumns - 1) / Format<W>::kColumns;
}
constexpr int64_t row_tiles_of(int64_t rows) {
  return (rows + kTileRows - 1) / kTileRows;
}

// Calls with a value of the type that stands for the weights' format.
template <typename Function>
void for_format(const gpu::GpuLinear& weights, Function&& function) {
  if (weights.scheme.mode == QuantMode::kMxfp8) return function(Mxfp8{});
  switch (weights.dtype) {
    case DType::kF32: return function(float{});
    case DType::kBF16: return function(bf16{});
    case DType::kF16: return function(f16{});
    default: MICA_CHECK(false);
  }
}

// 2^(code - 127); 2^-127 is subnormal, 255 gives infinity.
MICA_DEVICE float e8m0_to_float(uint32_t code) {
  return as_float(code == 0 ? 0x00400000u : code << 23);
}
// An E4M3 byte that is no NaN: its exponent and mantissa, moved to f32's places, are 2^-120 of it.
MICA_DEVICE float e4m3_to_float(uint32_t code) {
  return as_float((code & 0x80) << 24 | (code & 0x7f) << 20) * 0x1p120f;
}

// What a lane holds of 32 columns, w[r][c] of row g + 8r, column 8t + c, as f32. `pieces` are the
// lane's own: piece i lies at pieces[32 * i]. `part` is which 32 of a panel's columns; `scales` the
// word of the lane's rows.
template <typename W>
MICA_DEVICE void read_weights(const Bytes16* pieces, int, uint32_t, float (&w)[2][8]) {
  for (int s = 0; s < 2; ++s) {
    const Bytes16 piece = load16(pieces + s * kWarpSize);
    for (int i = 0; i < 2; ++i)
      for (int r = 0; r < 2; ++r)
        for (int h = 0; h < 2; ++h)
          w[r][4 * s + 2 * i + h] =
              to_float(W{static_cast<uint16_t>(piece.word[2 * i + r] >> 16 * h)});
  }
}
template <>
MICA_DEVICE void read_weights<float>(const Bytes16* pieces, int, uint32_t, float (&w)[2][8]) {
  for (int r = 0; r < 2; ++r)
    for (int h = 0; h < 2; ++h) {
      const Bytes16 piece = load16(pieces + (2 * r + h) * kWarpSize);
      for (int i = 0; i < 4; ++i) w[r][4 * h + i] = as_float(piece.word[i]);
    }
}
template <>
MICA_DEVICE void read_weights<Mxfp8>(const Bytes16* pieces, int part, uint32_t scales,
                                     float (&w)[2][8]) {
  const Bytes16 piece = load16(pieces + part * kWarpSize);
  for (int r = 0; r < 2; ++r) {
    const float scale = e8m0_to_float(scales >> (16 * r + 8 * part) & 0xff);
    for (int i = 0; i < 8; ++i)
      w[r][i] = scale * e4m3_to_float(piece.word[i / 2] >> (16 * (i % 2) + 8 * r) & 0xff);
  }
}

// One output of a launch.
struct ProductTarget {
  const std::byte* codes = nullptr;
  const std::byte* scales = nullptr;
  const float* bias = nullptr;  // [E, rows] or null
  void* out = nullptr;          // [.., rows]
  size_t expert_codes = 0, expert_scales = 0;
  int rows = 0;                    // N
  int first_group = INT32_MAX;     // of the groups of row tiles of all targets
  DType out_dtype = DType::kBF16;  // f32, bf16 or f16
  bool add = false;
};

inline constexpr int kMaxTargets = 4;
inline constexpr uint32_t kNoRow = 0xffffffffu;  // where an empty slot's row begins

// What a product kernel is given. All targets have the weights' format and K in common.
struct ProductArgs {
  ProductTarget targets[kMaxTargets];  // `first_group` ascending
  const Bytes16* x = nullptr;          // rows, aligned, of the dtype that the kernel multiplies
  uint32_t x_stride = 0;               // from row to row, in pieces of 8 columns
  int pieces = 0;                      // of 8 columns, that hold K
  int panels = 0;                      // of a row tile
  int groups = 0;                      // of row tiles, of all targets
  int tiles = 0;                       // of tokens, as the kernel takes them
  int tiles_per_expert = 1;            // of them in a tile of Slots
  int64_t rows = 0;                    // the rest is as in Slots
  const int32_t *input = nullptr, *output = nullptr, *experts = nullptr;
};

// Starts the product by tensor cores, x of W's dtype (mxfp8: bf16), or by f32 loops, x in f32. The
// bits of a row are the same for all Slots.
template <typename W>
void start_mma(gpu::GpuBackend& backend, const gpu::Slots& slots, ProductArgs args);
template <typename W>
void start_fma(gpu::GpuBackend& backend, const gpu::Slots& slots, ProductArgs args);

}  // namespace mica::MICA_GPU

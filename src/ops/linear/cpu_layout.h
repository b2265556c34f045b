// How the CPU keeps a linear layer, and the interface of the kernels that read it. Plain data only:
// this header is compiled under the flags of every instruction set.
//
// Rows go in blocks of 16, one per vector lane; a block is contiguous and is read front to back:
//
//   [ weights: K columns ][ scales: groups x 16 ][ offsets: groups x 16 ]     block_bytes,
//   64-aligned
//
// Weights by layout, in vectors of 16 dwords (one per row), the pair p being columns 2p and 2p + 1:
//   kF32, kF16, kFp8   16 values a column
//   kBF16              a pair a dword: column 2p low, 2p + 1 high
//   kQ4, 8 columns     low half: nibble j is column 2j; high half: column 2j + 1. So that
//                      (dword >> 4j) & 0x000f000f is pair j as two 16-bit integers
//   kQ2, 16 columns    the same with 2 bits: (dword >> 2j) & 0x00030003
//   kQ8, 4 columns     columns 0, 2, 1, 3 in bytes 0 to 3: dword & 0x00ff00ff and >> 8 are the
//   pairs kQ3, 32 columns    two kQ2 vectors, then one whose bit j of each half is bit 2 of pair j
//   kQ5, 32 columns    four kQ4 vectors, then one whose bit j of each half is bit 4 of pair j
//   kQ6, 32 columns    four kQ4 vectors, then two kQ2 vectors with bits 4 and 5
//   kFp4, 8 columns    E2M1 codes of columns 0, 4, 2, 6, 1, 5, 3, 7 in nibbles 0 to 7: the bytes'
//                      low nibbles are pairs 0 and 1 in kQ8's order, the high ones pairs 2 and 3
#pragma once

#include <cstddef>
#include <cstdint>

namespace mica {

#define MICA_INLINE inline __attribute__((always_inline))

constexpr int kBlockRows = 16;
constexpr int64_t kPanelColumns = 512;

enum class CpuLayout : uint8_t { kF32, kF16, kBF16, kFp8, kQ2, kQ3, kQ4, kQ5, kQ6, kQ8, kFp4 };
enum class ScaleType : uint8_t { kNone, kF32, kF16, kBF16, kE8M0, kE4M3 };

// A layer (one expert) as the kernels see it.
struct BlockLayout {
  CpuLayout layout = CpuLayout::kF32;
  ScaleType scale_type = ScaleType::kNone;
  bool integer = false;  // exact integer inner products, else f32 multiply-add
  int group = 0;         // columns that share a scale
  int64_t columns = 0;   // K, padded to the layout's vectors
  int bits = 0;          // of a weight
  bool offsets = false;
  size_t panel_bytes = 0;  // of a whole panel
  size_t block_bytes = 0;  // of a row block, a multiple of 64
};

MICA_INLINE constexpr int64_t scale_bytes(ScaleType type) {
  switch (type) {
    case ScaleType::kNone: return 0;
    case ScaleType::kF32: return 4;
    case ScaleType::kF16:
    case ScaleType::kBF16: return 2;
    case ScaleType::kE8M0:
    case ScaleType::kE4M3: return 1;
  }
  return 0;
}

// Where a panel and its parts lie in a row block.
struct PanelPlace {
  int64_t columns, groups;
  size_t scales, offsets, weights, end;
};

MICA_INLINE PanelPlace place_panel(const BlockLayout& layout, int64_t panel) {
  PanelPlace place{};
  place.columns = layout.columns;
  if (layout.group != 0) {
    const int64_t left = layout.columns - panel * kPanelColumns;
    place.columns = left < kPanelColumns ? left : kPanelColumns;
    place.groups = place.columns / layout.group;
  }
  const auto scales =
      static_cast<size_t>(place.groups * kBlockRows * scale_bytes(layout.scale_type));
  place.scales = static_cast<size_t>(panel) * layout.panel_bytes;
  place.offsets = place.scales + scales;
  place.weights = place.offsets + (layout.offsets ? scales : 0);
  place.end = place.weights + static_cast<size_t>(place.columns * layout.bits * kBlockRows / 8);
  return place;
}

// Up to 12 tokens whose values are interleaved: value (or pair) i of token t is at i * tokens + t.
struct TokenBlock {
  int tokens = 0;
  const float* values = nullptr;   // f32 kernels: [K][tokens]
  const int32_t* pairs = nullptr;  // integer and bf16 dot kernels: [K / 2][tokens], two of 16 bits
  const float* scales = nullptr;   // [groups][tokens]: value = integer * scale
  const float* sums = nullptr;     // [groups][tokens]: sum of a group's (rounded) values
};

// One kernel call: `blocks` row blocks times all tokens.
struct ProductArgs {
  const BlockLayout* layout = nullptr;
  const std::byte* weights = nullptr;  // the first row block
  int64_t blocks = 0;
  int64_t rows = 0;  // rows from the first block on that exist (the last block may be partial)
  const TokenBlock* tokens = nullptr;
  int64_t token_blocks = 0;
  int64_t token_count = 0;            // sum over the blocks, <= kMaxChunkTokens
  const float* bias = nullptr;        // [blocks * 16] or null
  float* out = nullptr;               // row 0's element for the first row of the first block
  int64_t out_stride = 0;             // elements between output rows
  const int32_t* out_rows = nullptr;  // output row of each token, null: 0, 1, 2, …
  bool add = false;
  float* work = nullptr;  // kWorkFloats, 64-byte aligned, one per thread
};

constexpr int64_t kMaxChunkTokens = 512;
constexpr int64_t kDirectLimit = 8;   // tokens up to which weights are unpacked in registers
constexpr int64_t kFloatPanel = 256;  // columns unpacked to f32 at a time, 16 KiB

// Floats of ProductArgs::work: sums of all tokens, unpacked panel, its scales and offsets, each for
// kMaxSide row blocks.
constexpr int kMaxSide = 2;
constexpr int kMaxDenseSide = 4;  // the same for few tokens of dense weights, at most
constexpr size_t kWorkSums = kMaxChunkTokens * kBlockRows;
constexpr size_t kWorkTile = kFloatPanel * kBlockRows;  // or a panel as 16-bit integers
constexpr size_t kWorkScales = kPanelColumns / 16 * kBlockRows;
constexpr size_t kWorkFloats = kMaxSide * (kWorkSums + kWorkTile + 2 * kWorkScales);

// The kernels of one instruction set.
struct LinearKernels {
  int direct_tokens;  // widest token block for up to kDirectLimit tokens in all
  int tile_tokens;    // widest token block for more
  int tile_side;      // row blocks that are computed together then
  // Splits rows [K] into 16-bit integers with a scale for each group of `group`.
  void (*pack_integer)(const float* const* rows, int tokens, int64_t columns, int group,
                       int32_t* pairs, float* scales, float* sums);
  // Interleaves rows [K]; columns up to `padded` are zeros.
  void (*pack_float)(const float* const* rows, int tokens, int64_t columns, int64_t padded,
                     float* values);
  void (*product)(const ProductArgs& args);

  // For bf16 weights by the processor's bf16 dot, where it has one: activations rounded to bf16.
  void (*pack_bf16)(const float* const* rows, int tokens, int64_t columns, int64_t padded,
                    int32_t* pairs) = nullptr;
  void (*product_bf16)(const ProductArgs& args) = nullptr;
};

// `kernels` with the bf16 dot of AVX-512 BF16 (cpu_kernels_avx512bf16.cpp).
LinearKernels with_bf16_dot(LinearKernels kernels);

extern const LinearKernels kLinearPortable, kLinearAvx2, kLinearAvx512;

}  // namespace mica

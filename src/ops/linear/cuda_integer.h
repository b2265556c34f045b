// How the integer family keeps weights and activations, and what its parts ask of each other.
//
// Weights. A row tile (16 rows) is one contiguous stream of units of 64 columns, in the order in
// which a product reads it:
//
//   groups of 32, 64, mx, nv   [scales 0][codes 0][scales 1][codes 1] …    unit by unit
//   groups of 128              [scales 0][codes 0][codes 1][scales 1] …    two units a scale
//
// A chunk is two units, 128 columns; the last one may hold one unit. Rows are padded to 16 and
// columns to 64 by zeros.
//
// Codes follow the fragments of mma.m16n8k32 (ptx_mma.h). Lane 4g + t of a warp holds 32 codes of a
// unit as 8 registers of 4 bytes: register r = 4s + 2h + o is row g + 8o, columns 32s + 16h + 4t
// and the next three, the A register 2h + o of the mma of columns 32s to 32s + 31. They are stored
// in bit planes, 8 bits = 8, 6 = 4 + 2, 5 = 4 + 1, 4, 3 = 2 + 1, 2, lower bits first. In a plane of
// p bits, field r % (8 / p) of word r * p / 8 of a lane is register r: (word >> field * p) & mask
// is the register (p = 4: mask 0x0f0f0f0f). Lane after lane has its p words; with p = 8 each half
// (four words) of all lanes comes before the next half.
// E2M1 codes instead lie nibble by nibble: the lower 16 bits of word 2s + h are the four codes of
// row g, the upper ones those of row g + 8, as prmt takes them for a selector.
//
// Scales of a unit (or of two, groups of 128):
//   affine   [g][group][o] {scale, offset} in the checkpoint's dtype
//   mxfp4    [g][o][2 groups] bytes        nvfp4   [g][o][4 groups] bytes
//
// Activations. A tile of T slots (4, 8, 16 or 32) is T / 8 columns of 8 slots; of each unit it has
//
//   T >= 8   [8 slots][part][lane] 16 bytes     T = 4   [lane] 16 bytes
//
// then the slots' sums. A value is xs * (256 * high + low) with signed bytes; part 0 is high. Lane
// 4g + t holds slot g of the eight (T = 4: slot g / 2, part g % 2), word r the B register r % 2 of
// the mma r / 2: columns 16r + 4t and the next three. With q the integers, the sums are
//
//   T >= 8   per two slots {xs[2], xs * sum(q)[2], the same of columns 0-31 [2], of 32-63 [2]}
//   T = 4    per slot the same without [2]
//
// What belongs to empty slots is not written: it reaches no other slot's sums and is never stored.
#pragma once

#include "ops/linear/cuda_linear.h"

namespace mica::gpu {

constexpr int kRowTile = 16;    // rows
constexpr int kUnit = 64;       // columns
constexpr int kChunkUnits = 2;  // what a stage of a product's pipeline holds
constexpr int kSegments = 8;    // parts of K that are summed on their own, then in order
constexpr int kSpareUnits = 2;  // of activations, that may be read beyond their end

enum class IntegerFormat : uint8_t { kQ2, kQ3, kQ4, kQ5, kQ6, kQ8, kMxfp4, kNvfp4 };

struct IntegerLayout {
  IntegerFormat format = IntegerFormat::kQ4;
  DType scale_type = DType::kBF16;  // affine: of scales and offsets; else kU8
  int bits = 4;
  int group = 64;
  int rows = 0, columns = 0;  // N, K
  int row_tiles = 0;
  int units = 0;
  uint32_t code_bytes = 0;   // of a unit
  uint32_t scale_bytes = 0;  // of a unit's scales, or of two units'
  uint32_t code_step = 0;    // from the codes of a chunk's first unit to those of its second
  uint32_t scale_step = 0;   // the same of scales
  uint32_t chunk_bytes = 0;
  size_t tile_bytes = 0;

  bool affine() const { return format < IntegerFormat::kMxfp4; }
  MICA_HOST_DEVICE int chunks() const { return (units + kChunkUnits - 1) / kChunkUnits; }
  // Bytes from a row tile's start.
  MICA_HOST_DEVICE size_t scales_of(int unit) const {
    return static_cast<size_t>(unit / kChunkUnits) * chunk_bytes +
           static_cast<uint32_t>(unit % kChunkUnits) * scale_step;
  }
  MICA_HOST_DEVICE size_t codes_of(int unit) const {
    return static_cast<size_t>(unit / kChunkUnits) * chunk_bytes + scale_bytes +
           static_cast<uint32_t>(unit % kChunkUnits) * code_step;
  }
  size_t expert_bytes() const { return static_cast<size_t>(row_tiles) * tile_bytes; }
};

// The slots of a product in tiles of the kernels' size; the tiles may be parts of those of Slots.
struct SlotTiles {
  const int32_t *input = nullptr, *output = nullptr, *experts = nullptr;  // as in Slots
  int tiles = 0;
  int size = 8;           // T
  int used = 8;           // slots of a tile that may be taken, the first ones
  int stride = 8;         // entries of input from a tile to the next
  int expert_stride = 8;  // entries of input that share an expert
  int rows = 0;           // without input: row `tile * used + i` of out, row / share of x
  int share = 1;

  MICA_HOST_DEVICE size_t unit_bytes() const { return static_cast<size_t>(size) * 144; }
  MICA_HOST_DEVICE size_t tile_bytes(int units) const {
    return static_cast<size_t>(units) * unit_bytes();
  }
};

IntegerLayout integer_layout(const QuantScheme& scheme, DType scale_type, int64_t rows,
                             int64_t columns);
IntegerLayout integer_layout(const GpuLinear& weights);
// Throws Error(kCheckpoint) where the weights don't fit their scheme.
void check_integer(const LinearWeights& weights);

}  // namespace mica::gpu

namespace mica::MICA_GPU {

// Rows of x as integers for a product. `rest`: of what the first integers left over instead, for
// activations in f32. Sets `zeros` words to 0, too.
struct QuantizeParams {
  Tensor x;  // [., K]
  gpu::SlotTiles slots;
  int units = 0;
  bool rest = false;
  std::byte* out = nullptr;
  uint32_t* zeros = nullptr;
  int zero_count = 0;
};
void quantize_slots(gpu::Stream& stream, const QuantizeParams& p);

constexpr int kMaxTargets = 4;

struct ProductTarget {
  gpu::IntegerLayout layout;
  const std::byte* weights = nullptr;
  size_t expert_bytes = 0;
  const float* bias = nullptr;  // [E, N] or null
  void* out = nullptr;
  DType out_type = DType::kF32;
  bool add = false;
  int first_block = 0;  // of rows
};

struct Product {
  ProductTarget target[kMaxTargets];
  int targets = 0;
  int row_blocks = 0;  // of all targets
  gpu::SlotTiles slots;
  const std::byte* activations = nullptr;
  int units = 0;
  // A block of rows may be split by segments of K: the block that comes last adds them.
  int parts = 1;
  float* partials = nullptr;     // [row blocks * tiles, kSegments, kTileFloats]
  uint32_t* counters = nullptr;  // [row blocks * tiles], 0
  int stages = 2;                // of the ring of a block with many slots: 2 or 3
};

// Slots of a tile up to which a block takes one row tile, or two, and its warps share out K.
constexpr int kFewSlots = 4;
constexpr int kStreamSlots = 16;
constexpr int kTileRows = 128;                          // of a block, above that
constexpr int kTileSlots = 32;                          // T there
constexpr size_t kTileFloats = kTileRows * kTileSlots;  // sums of a block

// Rows that a block takes, by T.
constexpr int block_rows(int slots) {
  return slots > kStreamSlots ? kTileRows : slots > kFewSlots ? 2 * gpu::kRowTile : gpu::kRowTile;
}

// All targets are of the format.
template <gpu::IntegerFormat kFormat>
void start_product(gpu::Stream& stream, const Product& p);

}  // namespace mica::MICA_GPU

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
//   affine   [group][g][o] {scale, offset} in the checkpoint's dtype
//   mxfp4    [g][o][2 groups] bytes        nvfp4   [g][o][4 groups] bytes
#pragma once

#include "ops/linear/cuda_linear.h"

namespace mica::gpu {

constexpr int kRowTile = 16;    // rows
constexpr int kUnit = 64;       // columns
constexpr int kChunkUnits = 2;  // what a stage of a product's pipeline holds
constexpr int kSegments = 8;    // parts of K that are summed on their own, then in order

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

IntegerLayout integer_layout(const QuantScheme& scheme, DType scale_type, int64_t rows,
                             int64_t columns);
IntegerLayout integer_layout(const GpuLinear& weights);
// Throws Error(kCheckpoint) where the weights don't fit their scheme.
void check_integer(const LinearWeights& weights);

}  // namespace mica::gpu

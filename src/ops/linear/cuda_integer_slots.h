// The slots of a tile, on the device.
#pragma once

#include "ops/cuda/launch.h"
#include "ops/cuda/ptx.h"
#include "ops/linear/cuda_integer.h"

namespace mica::MICA_GPU {

// Of a tile; -1 = no work.
MICA_DEVICE int expert_of(const gpu::SlotTiles& s, int tile) {
  return s.experts ? s.experts[tile * s.stride / s.expert_stride] : 0;
}

// Row of x of slot `i` of a tile, -1 = empty.
MICA_DEVICE int input_row(const gpu::SlotTiles& s, int tile, int i) {
  if (i >= s.used) return -1;
  if (s.input) return s.input[tile * s.stride + i];
  const int row = tile * s.used + i;
  return row < s.rows ? row / s.share : -1;
}

// Row of out of a slot that is not empty.
MICA_DEVICE int output_row(const gpu::SlotTiles& s, int tile, int i) {
  if (s.output) return s.output[tile * s.stride + i];
  return s.input ? s.input[tile * s.stride + i] : tile * s.used + i;
}

// A bit for each slot that is not empty.
MICA_DEVICE uint32_t taken_slots(const gpu::SlotTiles& s, int tile, Where where = Where::here()) {
  return ballot(kFullWarp, input_row(s, tile, lane_index()) >= 0, where);
}

}  // namespace mica::MICA_GPU

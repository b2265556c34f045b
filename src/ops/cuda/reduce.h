// Sums over warps and blocks in a fixed order: the same bits whatever the schedule.
#pragma once

#include "ops/cuda/launch.h"
#include "ops/cuda/ptx.h"

namespace mica::MICA_GPU {

// The sum over a full warp, to every lane.
MICA_DEVICE float warp_sum(float value, Where where = Where::here()) {
  for (int lanes = 16; lanes > 0; lanes /= 2)
    value += as_float(shuffle_xor(kFullWarp, as_bits(value), lanes, 32, where));
  return value;
}

// The sum over a one-dimensional block of full warps, to every thread. `scratch` holds 32 floats;
// it may be used again after the next barrier.
MICA_DEVICE float block_sum(float value, float* scratch, Where where = Where::here()) {
  value = warp_sum(value, where);
  if (lane_index() == 0) scratch[warp_index()] = value;
  sync_threads(where);
  const int warps = static_cast<int>(block_size().x) / kWarpSize;
  return warp_sum(lane_index() < warps ? scratch[lane_index()] : 0.0f, where);
}

}  // namespace mica::MICA_GPU

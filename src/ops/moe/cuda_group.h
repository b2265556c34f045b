// Pairs of a row and an expert, brought into slots by expert, on the device.
#pragma once

#include "ops/linear/cuda_linear.h"

namespace mica::MICA_GPU {

struct PairGroups {
  Tensor ids;           // i32 [T, k]; pair i is of expert ids[i]
  int64_t experts = 0;  // E
  int64_t share = 1;    // pairs that share a row of x: pair i has row i / share
  int tile = 8;         // as in Slots

  // Tiles that any ids need at most: each expert that has pairs pads its own to a tile.
  int64_t tiles() const;
  size_t bytes() const;  // of the arrays of its slots
};

// Slots of a tile that suit so many pairs of an expert on average.
int pair_tile(int64_t pairs, int64_t experts);

// Fills `memory` and returns the slots: expert after expert, pairs in their order. Tiles beyond
// those in use have expert -1, pairs with an id that is no expert have no slot.
gpu::Slots group_pairs(gpu::GpuBackend& backend, const PairGroups& p, std::byte* memory);

}  // namespace mica::MICA_GPU

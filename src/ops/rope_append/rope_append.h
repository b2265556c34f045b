#pragma once

#include "ops/backend.h"
#include "ops/batch.h"

namespace mica {

// Normalises q and k per head (where weights are given), rotates them, and writes k and v into the
// cache. Rotation of the pair (i, i + rotary/2), or (2i, 2i + 1) when `interleaved`, by the angle
// positions[t] * inverse_frequencies[i]; sizes beyond `rotary` pass unchanged.
struct RopeAppendParams {
  Tensor q;       // [T, H, Dh], in and out
  Tensor k;       // [T, G, Dh]
  Tensor v;       // [T, G, Dh]
  Tensor q_norm;  // f32 [Dh] or empty
  Tensor k_norm;  // f32 [Dh] or empty
  float eps = 1e-6f;
  Tensor inverse_frequencies;  // f32 [rotary / 2], or [T, rotary / 2] a table per token;
                               // empty: no rotation
  float magnitude = 1;         // multiplies the rotated values (yarn, longrope)
  bool interleaved = false;    // mlx "traditional"
  Tensor positions;            // i32 [T]
  Tensor slots;                // i32 [T]: block * block_size + offset; -1 (padding): not stored
  KvLayer cache;               // [blocks, G, block_size, Dh], or quantized

  // rotary / 2: how many pairs of a head are rotated.
  int64_t pairs() const { return inverse_frequencies.empty() ? 0 : inverse_frequencies.shape[-1]; }
  // The table of batch row `token`; for backends on host memory.
  const float* frequencies(int64_t token) const {
    const bool per_token = inverse_frequencies.shape.rank() == 2;
    return inverse_frequencies.as<float>() + (per_token ? token * pairs() : 0);
  }
};

}  // namespace mica

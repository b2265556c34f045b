// Rotary position embedding tables for every scaling type, computed once on the host.
// Formulas: Su et al. 2021 (RoPE), Peng et al. 2023 (YaRN), Ding et al. 2024 (LongRoPE), and the
// Llama 3.1 model card; results agree with mlx-lm's rope_utils.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace mica {

struct RopeTable {
  std::vector<float> inverse_frequencies;  // [rotary / 2], radians per position
  float magnitude = 1;                     // factor on the rotated values
};

// `rotary` is the number of rotated values of a head (even). Throws Error(kCheckpoint) for an
// unknown type or factors of the wrong length.
RopeTable make_rope_table(const RopeConfig& rope, float theta, int64_t rotary,
                          int64_t max_position_embeddings);

// "dynamic" scaling: the table for a sequence of `length` tokens. Up to max_position_embeddings it
// is the default one; beyond, theta grows with the length (mlx-lm: the length after this step).
std::vector<float> dynamic_rope_frequencies(const RopeConfig& rope, float theta, int64_t rotary,
                                            int64_t max_position_embeddings, int64_t length);

}  // namespace mica

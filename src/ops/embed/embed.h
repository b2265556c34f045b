#pragma once

#include "ops/backend.h"

namespace mica {

// out[t] = table[ids[t]] * scale. The table may be the tied output layer in its prepared form.
struct EmbedParams {
  Tensor ids;                             // i32 [T], each in [0, rows)
  const PreparedLinear* table = nullptr;  // rows = V, columns = D
  float scale = 1;                        // gemma: sqrt(D), rounded to the checkpoint's dtype
  Tensor out;                             // [T, D] activation dtype
};

}  // namespace mica

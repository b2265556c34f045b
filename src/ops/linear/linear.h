#pragma once

#include <span>

#include "ops/backend.h"

namespace mica {

// One output of a product: y[t, n] = sum_k x[t, k] * w[n, k] + bias[n], or y += … with `add`.
struct LinearTarget {
  const PreparedLinear* weights = nullptr;
  Tensor out;  // [T, N]: activation dtype, or f32 (logits, router scores)
  bool add = false;
};

// Several layers with one input (q, k, v; gate, up) go together: the input is prepared once.
// A row's result does not depend on the other rows of x (same bits for every T).
struct LinearParams {
  Tensor x;  // [T, K]
  std::span<const LinearTarget> targets;
};

// Rows through their experts: out[t * k + j] = W[ids[t, j]] · x[t] (or · x[t * k + j] when x has
// T * k rows). Same promise for a row's bits.
struct MoeLinearParams {
  Tensor x;                               // [T, K] or [T * k, K]
  Tensor ids;                             // i32 [T, k]
  std::span<const LinearTarget> targets;  // out [T * k, N]
};

}  // namespace mica

#pragma once

#include "ops/backend.h"

namespace mica {

enum class Activation : uint8_t {
  kSilu,      // x * sigmoid(x)
  kGelu,      // exact, by erf
  kGeluTanh,  // the tanh approximation, "gelu_pytorch_tanh"
};

// out[t, i] = act(gate[t, i]) * up[t, i], without `up` act(gate[t, i]); out may be gate or up.
struct ActivationParams {
  Activation kind = Activation::kSilu;
  Tensor gate, up, out;  // [rows, F]; up may be empty
};

}  // namespace mica

// The modules that an architecture has beyond the common ones, for synthetic weights.
#pragma once

#include "checkpoint/synthetic.h"
#include "model/config.h"

namespace mica {

// Options with scheme and dtype unset: biases, optional modules and norms as `config` implies.
SyntheticOptions synthetic_options(const ModelConfig& config);

}  // namespace mica

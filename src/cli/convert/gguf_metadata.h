// The keys of a GGUF file that say what the model is, as llama.cpp reads them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "checkpoint/gguf/gguf_names.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "model/config.h"

namespace mica {

// general.* and <architecture>.*. Throws Error(kCheckpoint) for what llama.cpp can't compute as
// this model does: a rotation that it has not, other sliding layers, unscaled experts.
GgufMetadata gguf_model_metadata(const ModelConfig& config, const GgufArchitecture& architecture,
                                 const std::string& model_name);

// Tensors that llama.cpp has and a checkpoint has not: divisors of the rotation's frequencies
// [rotary / 2], for llama3 and longrope.
std::vector<std::pair<std::string, std::vector<float>>> gguf_rope_tensors(
    const ModelConfig& config);

}  // namespace mica

// The rotary part of config.json. Private to the parser: it brings the JSON library.
#pragma once

#include <optional>

#include "checkpoint/json_reader.h"
#include "model/config.h"

namespace mica {

// Reads rope_theta, rope_traditional, rope_scaling and transformers 5's rope_parameters (flat, or
// by layer type). `default_theta` absent: the config must name it. Needs config.head_dim and
// config.max_position_embeddings.
RopeConfig read_rope_config(const JsonReader& fields, const ModelConfig& config,
                            std::optional<double> default_theta);

// Gemma-3: the theta of the sliding layers.
float read_local_theta(const JsonReader& fields);

}  // namespace mica

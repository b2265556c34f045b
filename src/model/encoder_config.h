// config.json of encoders: BERT and its family.
#pragma once

#include <string_view>

#include "model/config.h"

namespace mica {

class JsonReader;

bool is_encoder_type(std::string_view model_type);

// The fields of ModelConfig that an encoder has; positions are counted without the offset.
ModelConfig read_encoder_config(const JsonReader& root);

}  // namespace mica

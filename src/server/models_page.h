// What /v1/models says: OpenAI's list, with the state of each model as llama.cpp's router tells it.
#pragma once

#include <string>
#include <vector>

#include "server/model_registry.h"

namespace mica {

// All models, each followed by its adapters.
std::string models_json(const std::vector<ModelState>& models);
// One of them, or an adapter of it.
std::string model_json(const ModelState& model, const std::string& name);

}  // namespace mica

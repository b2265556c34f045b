// The loaders of all architectures; model/registry.cpp maps config.json's model_type to them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/model.h"

namespace mica {

using ModelLoader = std::unique_ptr<Model> (*)(const ModelConfig&, WeightSource&, Backend&);

std::unique_ptr<Model> load_llama(const ModelConfig&, WeightSource&, Backend&);
std::unique_ptr<Model> load_qwen2(const ModelConfig&, WeightSource&, Backend&);
std::unique_ptr<Model> load_qwen3(const ModelConfig&, WeightSource&, Backend&);
std::unique_ptr<Model> load_bert(const ModelConfig&, WeightSource&, Backend&);
std::unique_ptr<Model> load_gemma3(const ModelConfig&, WeightSource&, Backend&);

// Known model types in the order of the table.
std::vector<std::string> known_model_types();

}  // namespace mica

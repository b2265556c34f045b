// One layer's keys in the models file.
#pragma once

#include "bench/plan/layers.h"
#include "bench/plan/yaml_reader.h"

namespace mica {

// Reads the keys of a layer from `map`, which the caller finishes. `backend` may be nullptr where
// the backend is not known yet: then a setting must be one of any backend of the table.
Layer read_layer(YamlMap& map, const std::string& title, const BackendDescriptor* backend,
                 const BackendTable& table);

}  // namespace mica

#pragma once

#include <string>

namespace mica {

// The path with "*" for its numbers: "model.layers.*.mlp.gate".
std::string kind_of(const std::string& path);

}  // namespace mica

// Hyper-parameters of well-known models, built in (config/shapes/*.json).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

// The config.json of a name like "Qwen3-0.6B"; upper and lower case are equal.
std::optional<std::string_view> shipped_config(std::string_view name);

std::vector<std::string> shipped_config_names();

}  // namespace mica

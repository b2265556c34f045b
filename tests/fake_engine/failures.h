#pragma once

#include <string>
#include <vector>

namespace mica::fake {

// What an engine that fails in a well-known way writes before it ends, by a name of README.md.
// Throws Error(kUsage) for other names.
const std::vector<std::string>& failure_log(const std::string& name);
std::vector<std::string> failure_names();

}  // namespace mica::fake

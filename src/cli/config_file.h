// Flags from a file: `serve --config FILE`.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace mica {

// `given` (the command line without the program's name), followed by what the YAML file of its
// --config says, as flags. The file maps names of flags to values; flags that are given already
// win. Without --config, or for a command that has none, it is `given`. Throws Error(kUsage), with
// the line, for what is no flag of the command and for what is no YAML.
std::vector<std::string> with_config_file(const CLI::App& app, std::vector<std::string> given);

}  // namespace mica

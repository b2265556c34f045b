// `mica inspect`: what a checkpoint is, from its headers alone.
#pragma once

namespace CLI {
class App;
}

namespace mica {

// Adds the subcommand to the program; it runs as the subcommand's callback and throws Error.
void add_inspect_command(CLI::App& app);

}  // namespace mica

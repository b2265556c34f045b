// `mica pull`: a model from the hub into the local cache.
#pragma once

namespace CLI {
class App;
}

namespace mica {

// Adds the subcommand to the program; it runs as the subcommand's callback and throws Error.
void add_pull_command(CLI::App& app);

}  // namespace mica

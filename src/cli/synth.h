// `mica synth`: a checkpoint of random weights in the shape of a known model.
#pragma once

namespace CLI {
class App;
}

namespace mica {

// Adds the subcommand to the program; it runs as the subcommand's callback and throws Error.
void add_synth_command(CLI::App& app);

}  // namespace mica

// What `--like/--synth --bits --group-size --mode --dtype` mean: shape and scheme of random
// weights.
#pragma once

#include <filesystem>
#include <string>

#include "checkpoint/synthetic.h"
#include "model/config.h"

namespace CLI {
class App;
}

namespace mica {

struct SynthFlags {
  std::string like;
  std::string mode = "affine", dtype;
  int bits = 0, group_size = 0;
  uint64_t seed = 0;
  bool offline = false;
};

// The scheme's flags; that of the shape is the command's own.
void add_synth_flags(CLI::App& command, SynthFlags& flags);

struct SynthSpec {
  std::string config_json;
  std::filesystem::path directory;  // empty: there is none to take a tokenizer from
  ModelConfig config;
  SyntheticOptions options;
};

// Looks for a file, a folder, a built-in shape, a model of the hub, in this order. Throws
// Error(kUsage) for what there is not and for schemes that MLX has not.
SynthSpec resolve(const SynthFlags& flags);

}  // namespace mica

// The flags of every command that starts a backend, and what is read for them.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/plan/descriptor.h"
#include "bench/plan/models_file.h"
#include "bench/plan/request.h"

namespace CLI {
class App;
}

namespace mica {

struct PlanInputs {
  PlanRequest request;
  std::string mode, models_file, backends_folder;
  std::vector<std::string> settings, variables;  // NAME=VALUE
  std::vector<std::string> gpus;                 // assumed: "2x96GB@12.0"
  std::string gpu_indices;                       // "0,1"
};

// Declares the flags; `inputs` lives as long as the command.
void add_plan_flags(CLI::App& command, PlanInputs& inputs);
// Of these the ones that hold for several backends at once: none of model, backend, url, host,
// port, image, concurrency and kv-bits.
void add_shared_plan_flags(CLI::App& command, PlanInputs& inputs);

// Of these --models-file and --backends-dir alone.
void add_config_flags(CLI::App& command, PlanInputs& inputs);

// This process's, for expand_variables().
std::optional<std::string> environment_variable(const std::string& name);

// The built-in descriptors, then those of ~/.config/mica/backends, then --backends-dir.
BackendTable backend_table(const PlanInputs& inputs);

// --models-file, else config/models.yaml here, else ~/.config/mica/models.yaml, else an empty one.
ModelsFile models_file(const PlanInputs& inputs, const BackendTable& table);

// Adds to ~/.config/mica/pins.yaml, and returns its path.
std::filesystem::path write_pins(const std::map<std::string, std::string>& pins);

// This machine's, GPUs included (up to two seconds), or those that --assume-gpu says; and the pins
// of images.
PlanFacts plan_facts(const PlanInputs& inputs);

PlanRequest plan_request(const PlanInputs& inputs);

// Of a running server that has one model and was not told by --served-name what it is called.
// `key`: the server's, or empty.
void ask_served_name(PlanRequest& request, const std::string& key = "");

// "96GB", "96GB@12.0", "2x96GiB@12.0". Throws Error(kUsage).
std::vector<PlanGpu> parse_gpus(const std::string& text);

}  // namespace mica

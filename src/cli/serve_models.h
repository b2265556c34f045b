// The models of `serve`: flags, how each is loaded, the adapters of the first one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/draft_model.h"
#include "cli/load.h"
#include "engine/engine.h"
#include "server/app.h"

namespace CLI {
class App;
}

namespace mica {

struct ServedModelFlags {
  ModelFlags model;
  std::vector<std::string> further;  // --also-model
  std::string folder;                // --models-dir
  RequestDefaults defaults;
  EngineOptions engine;
  SpeculationFlags speculation;  // of the first one
  uint64_t kv_bytes = 0;
  std::string default_adapter;        // --adapter-path
  std::vector<std::string> adapters;  // NAME=DIR
  int64_t max_rank = 0;               // 0: the largest of those given, at least 16
  bool allow_runtime_adapters = false;
};

void add_models_flags(CLI::App& command, ServedModelFlags& flags, AppOptions& app);

// Adds all models to the app, none is loaded yet. `flags` outlives the app's models. Throws
// Error(kUsage) for names that mean two things and a folder without models.
void add_models(const ServedModelFlags& flags, App& app);

}  // namespace mica

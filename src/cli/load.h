// What every command that runs a model has in common: its flags and the order of loading.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "model/model.h"
#include "ops/backend.h"
#include "ops/kv_quantization.h"
#include "text/text_model.h"

namespace CLI {
class App;
}

namespace mica {

// --model, --device, --threads, --isa; filled by the parser.
struct ModelFlags {
  std::string model;
  BackendOptions backend;
  std::string chat_template;
  bool offline = false;
};

void add_model_flags(CLI::App& command, ModelFlags& flags, const std::string& default_model = "");
// --device, --threads and --isa alone.
void add_device_flags(CLI::App& command, BackendOptions& options);

// --kv-bits, --kv-group-size, --quantized-kv-start.
void add_kv_flags(CLI::App& command, KvQuantOptions& options);

// Flags of mlx-lm that this version knows and does not have yet: naming one is a clear error.
void add_missing_flag(CLI::App& command, const std::string& name, const std::string& what);

struct LoadedModel {
  std::filesystem::path directory;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
  std::unique_ptr<TextModel> text;  // null when loaded without
  double load_seconds = 0;
  double bandwidth = 0;  // of the device's own memory, bytes per second; 0 where it is the host's
};

struct LoadedParts {
  std::filesystem::path directory;
  std::unique_ptr<Model> model;
  std::unique_ptr<TextModel> text;  // null when loaded without
};

// Resolves the model (path or repository id), makes the backend, loads weights, then the text side;
// logs one line about the device and one about the model.
LoadedModel load(const ModelFlags& flags, bool with_text = true);

// The same on a backend that another model has brought up; `flags.backend` is not read.
LoadedParts load_onto(Backend& backend, const ModelFlags& flags, bool with_text = true);

}  // namespace mica

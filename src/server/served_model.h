// The model behind the server: engine, text side, names and defaults. Immutable once published.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "text/text_model.h"

namespace mica {

class Embedder;

// What requests that leave a field out get; flags of `serve`.
struct RequestDefaults {
  SamplingParams sampling;
  int32_t max_tokens = 512;
  std::string template_arguments = "{}";  // JSON object of variables for the chat template
  std::chrono::milliseconds timeout{0};   // of one request; 0 = none
};

struct ServedModel {
  Engine* engine = nullptr;
  const TextModel* text = nullptr;
  Embedder* embedder = nullptr;  // null: no embeddings
  int32_t vocabulary = 0;
  std::string id;                    // as /v1/models lists it
  std::vector<std::string> aliases;  // further names: path, folder
  std::string device;                // "cpu: AMD EPYC …"
  std::string fingerprint;           // system_fingerprint
  int64_t created = 0;               // unix seconds
  RequestDefaults defaults;

  // mlx-lm's "default_model", the id or an alias.
  bool answers_to(const std::string& name) const;
};

}  // namespace mica

// The model behind the server: engine, text side, names and defaults. Immutable once published.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "server/metrics.h"
#include "server/model_answers.h"
#include "text/text_model.h"

namespace mica {

class AdapterTable;
class Embedder;
class PromptScorer;

// What requests that leave a field out get; flags of `serve`.
struct RequestDefaults {
  SamplingParams sampling;
  int32_t max_tokens = 512;
  std::string template_arguments = "{}";  // JSON object of variables for the chat template
  std::chrono::milliseconds timeout{0};   // of one request; 0 = none
  // A stream's events come no closer: what is generated sooner goes with the next. 0 = at once.
  std::chrono::milliseconds stream_interval{5};
  // How the model writes calls and reasoning, by name; "" = as its template shows.
  std::string tool_parser, reasoning_parser;
};

struct ServedModel {
  Engine* engine = nullptr;
  const TextModel* text = nullptr;
  Embedder* embedder = nullptr;    // null: no embeddings
  PromptScorer* scorer = nullptr;  // null: prompts have no log-probabilities
  bool generates = true;           // false: an encoder, whose engine refuses every request
  int32_t vocabulary = 0;
  int64_t layers = 0;                // 0: not known
  std::string id;                    // as /v1/models lists it
  std::vector<std::string> aliases;  // further names: path, folder
  std::string device;                // "cpu: AMD EPYC …"
  std::string fingerprint;           // system_fingerprint
  int64_t created = 0;               // unix seconds
  double bandwidth = 0;              // of the device's memory, bytes per second; 0: not measured
  double load_seconds = 0;
  uint64_t weight_bytes = 0;
  RequestDefaults defaults;
  ServerMetrics* metrics = nullptr;  // null: nothing is counted
  std::shared_ptr<ModelAnswers> answers = std::make_shared<ModelAnswers>();  // shared by copies
  std::shared_ptr<AdapterTable> adapters;  // shared by copies; null: adapters are not served

  // mlx-lm's "default_model", the id, an alias or an adapter.
  bool answers_to(const std::string& name) const;
};

}  // namespace mica

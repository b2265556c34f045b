// How a backend is started and spoken to: resolved once, printed by `mica plan`, used unchanged by
// `serve`, `bench` and `eval`. Every value knows where it came from.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mica {

enum class LaunchMode { kDocker, kProcess, kAttach };
const char* name(LaunchMode mode);  // "docker", "process", "attach"

// Where a value comes from, as people read it: "--port", "config/models.yaml:12", "backend vllm",
// "derived: 2 GPUs found".
struct Origin {
  std::string text;
};

struct Sourced {
  std::string value;
  Origin origin;
};

// One argument with its values: {"--port", "8000"}.
struct PlanArgument {
  std::vector<std::string> words;
  Origin origin;
};

struct PlanVariable {
  std::string name, value;
  bool secret = false;  // shown as *** and never stored
  Origin origin;
};

// Of a container. Read-only unless said otherwise.
struct PlanMount {
  std::string host, container;
  bool writable = false;
  Origin origin;
};

// How the backend shows that it lives. Paths are of its URL; empty = it has none.
struct PlanProbes {
  std::string health;    // 2xx once it can take requests
  std::string models;    // its list of models, in OpenAI's form
  std::string identity;  // text that the body of one of them must contain, or empty
  std::string version;   // where it says its version
};

// Which fields of a request it takes beside those of every OpenAI server.
struct PlanDialect {
  std::string chat = "/v1/chat/completions", completions = "/v1/completions";
  bool ignore_eos = false, min_tokens = false, seed = false;
  bool stream_usage = false;    // stream_options.include_usage
  bool token_prompts = false;   // completions of token ids
  bool unknown_fields = true;   // false: it refuses what it does not know
  bool cached_tokens = false;   // in its usage
  std::string metrics;          // path of its Prometheus page; empty = none
  std::string metrics_dialect;  // whose names it has: "vllm", "sglang", "llamacpp", "mica" …
  // How a run begins with an empty cache: a POST to this path, or a field of every request, or
  // neither, and then unique prompts must do.
  std::string cache_reset;
  std::string no_cache_field, no_cache_value;  // "cache_prompt", "false"
};

struct PlanDeadlines {
  std::chrono::seconds start{600};        // from the start to an open port
  std::chrono::seconds ready{600};        // from there to a model in the list
  std::chrono::seconds first_token{300};  // of the first generation
};

struct LaunchPlan {
  std::string backend;  // the descriptor's name
  LaunchMode mode = LaunchMode::kProcess;
  std::string profile;               // of the models file, or empty
  Sourced model;                     // a path or a hub id, as the backend gets it
  Sourced served_name;               // field `model` of requests
  Sourced backend_version;           // that is wanted; "" = whatever is there
  std::vector<std::string> program;  // argv's head: {"vllm", "serve"}; docker: the entrypoint's
  std::vector<PlanArgument> arguments;
  std::vector<PlanVariable> environment;
  Sourced host, port;  // where it listens and is asked; loopback unless the user said otherwise
  std::string url;     // "http://127.0.0.1:8000"

  // Docker only:
  Sourced image;                             // "vllm/vllm-openai:v0.11.0"
  std::string build_context;                 // of an image that is built; empty = pulled
  std::vector<PlanArgument> docker_options;  // {"--gpus", "all"}
  std::vector<PlanMount> mounts;
  int32_t container_port = 0;

  PlanProbes probes;
  PlanDialect dialect;
  PlanDeadlines deadlines;
  std::vector<PlanVariable> sampling;  // fields of every request, by the models file
  std::vector<std::string> warnings;   // what the user should know before the start

  // The command as it is started: `docker run …` or the program. Secrets are replaced where
  // `masked`.
  std::vector<std::string> command(bool masked) const;
};

}  // namespace mica

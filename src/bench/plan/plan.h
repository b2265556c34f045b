// How a backend is started and spoken to: resolved once, printed by `mica plan`, used unchanged by
// `serve`, `bench` and `eval`. Every value knows where it came from.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

enum class LaunchMode { kDocker, kProcess, kAttach };
const char* name(LaunchMode mode);  // "docker", "process", "attach"

// Where a value comes from, as people read it: "--port", "config/models.yaml:12", "backend vllm",
// "derived: 2 GPUs found".
struct Origin {
  std::string text;
  bool asked = false;  // on the command line, and so kept as it is
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
  bool secret = false;  // shown as ***, never stored, and passed to Docker by name alone
  Origin origin;
};

// Of a container. Read-only unless said otherwise.
struct PlanMount {
  std::string host, container;  // host: a path, or the name of a volume
  bool writable = false;
  Origin origin;
};

// A file of options that the launcher writes before the start.
struct PlanFile {
  std::string path, text;
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
  std::string model_path;            // on this machine: a folder or a file; empty = not here
  std::string repo_id, revision;     // of the hub, where known
  Sourced served_name;               // field `model` of requests
  Sourced backend_version;           // that is wanted; "" = whatever is there
  std::vector<std::string> program;  // argv's head: {"vllm", "serve"}; docker: the entrypoint's
  std::vector<PlanArgument> arguments;
  std::vector<PlanVariable> environment;
  std::string directory;  // where the program starts; empty = here
  std::vector<PlanFile> files;
  Sourced host, port;  // where it listens and is asked; loopback unless the user said otherwise
  std::string url;     // "http://127.0.0.1:8000"

  // Docker only:
  Sourced image;              // "vllm/vllm-openai:v0.11.0"
  std::string digest;         // "sha256:…" that it must have; empty = any
  bool build = false;         // it is built when it is not there; else pulled
  std::string build_context;  // a folder or a Git URL; empty = the Dockerfile needs none
  std::string build_file;     // of the Dockerfile in it; empty = the usual one
  std::string dockerfile;     // its text, for `docker build -f -`; empty = the context's own
  std::vector<PlanVariable> build_arguments;
  std::string image_hint;                    // where it comes from, for people who don't have it
  std::vector<PlanArgument> docker_options;  // {"--gpus", "all"}
  std::vector<PlanMount> mounts;
  int32_t container_port = 0;  // 0: none is published, the container has the host's network

  PlanProbes probes;
  PlanDialect dialect;
  PlanDeadlines deadlines;
  std::vector<PlanVariable> sampling;  // fields of every request, JSON values, by the models file

  // What it is for; 0 = the backend's own.
  int64_t context = 0, concurrency = 0;  // tokens of a sequence, sequences
  int kv_bits = 16;
  int gpus = 0;            // that it uses
  bool needs_gpu = false;  // it does not run on a processor alone
  double memory_fraction = 0;
  bool on_cpu = false;         // it computes on the processor, whatever GPUs there are
  int64_t gpu_layers = -1;     // that lie on GPUs, the rest in the host's memory; -1 = all
  double cpu_offload_gib = 0;  // of weights of each GPU that lie in the host's memory

  std::vector<std::string> warnings;  // what the user should know before the start

  // The command as it is started: `docker run …` or the program; empty for kAttach. Docker gets
  // secret variables by name: its client must be started with them in the environment. What
  // follows a flag with a secret's name (--api-key) is *** where `masked`.
  std::vector<std::string> command(bool masked) const;
  // The same, with words that belong together in one list, for people.
  std::vector<std::vector<std::string>> grouped_command(bool masked) const;
};

// Whether a variable or a flag of this name holds a secret: HF_TOKEN, OPENAI_API_KEY, --api-key.
bool is_secret_name(std::string_view name);

}  // namespace mica

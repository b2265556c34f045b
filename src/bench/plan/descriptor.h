// What Mica knows of a backend: how it is started and spoken to, what it can run. Data, one YAML
// file each (config/backends, built in; docs/plans.md has the keys).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/plan/plan.h"

namespace mica {

// A value of the backend's command line, by the name that all backends share.
struct BackendSetting {
  enum class Type { kText, kInteger, kNumber, kFraction, kBoolean, kList, kWords, kChoice };

  std::string name;
  Type type = Type::kText;
  std::vector<std::string> words;    // "{}" the value, "{parent}" and "{name}" of a path
  std::vector<std::string> process;  // instead of `words` in a local process
  std::vector<std::string> remote;   // instead of `words` for a model that is not on this machine
  std::vector<std::string> on, off;  // of a boolean
  std::map<std::string, std::vector<std::string>> choices;
  std::vector<std::string> same;  // further flags of the backend that mean it too
  std::vector<std::string> also;  // further names in the models file
  std::optional<std::string> default_value;
  std::string why;     // of the default
  std::string derive;  // gpus, cores, numa_nodes, device, quantization; or empty
  std::map<std::string, std::string> map;  // of what is derived; empty = as it is
  std::string unless;                      // the value that needs no words
  std::string times;                       // the setting that multiplies it
  std::string file_name, file_text;        // a file that is written; its path is the default
  bool divides_heads = false;              // a count of GPUs over which heads are dealt out evenly

  // Every flag that gives it.
  std::vector<std::string> flags() const;
  // Throws Error(kUsage) where `value` is not of the type; `place` begins the message.
  void check(const std::string& value, const std::string& place) const;
};

// The build argument that says for which GPUs an image is compiled.
struct BackendArchitectures {
  std::string argument;  // empty: none
  bool torch = false;    // "8.0 12.0", as TORCH_CUDA_ARCH_LIST; else "80;120", as CMake
};

// A folder of a repository that is laid over the image, so that a pull request runs.
struct BackendOverlay {
  std::string repository;    // a Git URL; empty: none
  std::string folder, into;  // of the repository; of the image
};

struct BackendDocker {
  std::string image;       // "{version}" in it
  bool moving = false;     // the tag does not stand for one image
  std::string image_type;  // "prebuilt", "build"
  std::string hint;        // where the image comes from, when it is not pulled
  std::string build_context, build_file, dockerfile;  // "{version}" in the context
  std::map<std::string, std::string> build_arguments;
  BackendArchitectures architectures;
  BackendOverlay overlay;
  std::vector<std::vector<std::string>> options;
  std::vector<std::string> program;    // behind the image
  std::vector<std::string> arguments;  // which of model, host and port are said, in this order
  int port = 0;                        // inside
  std::string cache, host_cache;  // of downloaded models, inside and outside (empty: the hub's)
  std::vector<PlanMount> mounts;
};

struct BackendProcess {
  std::vector<std::string> program;
  std::vector<std::string> arguments;
  int port = 0;
  std::string hint;
};

// How it is told the key that its clients must send; neither = it takes none.
struct BackendKey {
  std::string variable;
  std::vector<std::string> words;  // with "{}"
  bool is_taken() const { return !variable.empty() || !words.empty(); }
};

struct BackendMemory {
  int overhead_mib = 1500;        // of each GPU; an estimate
  double fraction = 1;            // of the memory that it takes
  std::string fraction_of;        // "total", "free"; empty = it takes what it needs
  std::string split = "tensors";  // over several GPUs: "tensors" (equal parts), "layers"
  bool host_experts = false;      // experts lie in the host's memory
};

// A switch that others needed; nothing is set by it.
struct BackendAdvice {
  std::string when;  // "always", "multi_gpu"
  std::string variable, value, why, date, source;
};

// Compute capabilities as 10 · major + minor; both ends included.
struct ComputeRange {
  int low = 0, high = 10'000;
};

struct CapabilityRow {
  enum class State { kWorks, kLimited, kRefused };
  std::vector<std::string> formats, quantizations;  // empty = all
  std::optional<bool> multi_gpu;                    // nullopt = either
  ComputeRange compute;
  State state = State::kWorks;
  std::string date, source, note;
  std::string place;
};

struct BackendDescriptor {
  std::string name, title, version, source;
  std::vector<std::string> also;     // further names
  std::vector<std::string> formats;  // that it takes: mlx, safetensors, gguf, exl3
  std::string names_model;    // how it calls the model without a served name: argument, directory
  bool local_models = false;  // it downloads none
  bool cpu = false;           // it runs without a GPU too
  LaunchMode mode = LaunchMode::kDocker;
  std::optional<BackendDocker> docker;
  std::optional<BackendProcess> process;
  std::vector<BackendSetting> settings;  // in the order of the command line
  std::vector<PlanVariable> environment;
  BackendKey key;
  PlanProbes probes;
  PlanDialect dialect;
  std::string metrics_need;           // what the user must do for metrics; empty = nothing
  std::vector<std::string> sampling;  // fields of requests that it takes
  PlanDeadlines deadlines;
  BackendMemory memory;
  std::vector<BackendAdvice> advice;
  std::vector<CapabilityRow> capabilities;  // the first that fits holds
  std::string place;                        // "backend vllm", or the file that replaced it

  // By its name or another one of it; nullptr when there is none.
  const BackendSetting* setting(const std::string& name) const;
  std::vector<std::string> setting_names() const;
};

// Reads one descriptor. `place` begins every message. Throws Error(kUsage).
BackendDescriptor parse_descriptor(std::string_view yaml, const std::string& place);

// All backends: the built-in ones, and the files *.yaml of folders, which replace those of the same
// name or add to them.
class BackendTable {
 public:
  BackendTable();  // the built-in ones
  // Throws Error(kUsage) for a file that is no descriptor, and for a folder that can't be read.
  void add_folder(const std::filesystem::path& folder);
  void add(BackendDescriptor descriptor);

  const BackendDescriptor* find(const std::string& name) const;
  // Throws Error(kUsage) with the nearest spelling and all names.
  const BackendDescriptor& get(const std::string& name) const;
  const std::vector<BackendDescriptor>& all() const { return all_; }
  std::vector<std::string> names() const;  // with the further ones

 private:
  std::vector<BackendDescriptor> all_;
};

// What the capability tables are asked.
struct CapabilityQuestion {
  std::string format, quantization;  // empty = not known
  int gpus = 1;
  int compute = 0;  // the least of the GPUs; 0 = not known
};

// The row that holds, or nullptr when nobody noted anything.
const CapabilityRow* find_capability(const BackendDescriptor& backend,
                                     const CapabilityQuestion& question);
// Backends that take it, best first: works before limited, `except` left out.
std::vector<std::string> capable_backends(const BackendTable& table,
                                          const CapabilityQuestion& question,
                                          const std::string& except);
const char* name(CapabilityRow::State state);  // "works", "limited", "refused"

struct EmbeddedDescriptor {
  std::string_view name, text;
};
const std::vector<EmbeddedDescriptor>& embedded_descriptors();

}  // namespace mica

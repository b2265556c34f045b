#include "cli/plan_inputs.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/machine.h"
#include "bench/client/fetch.h"
#include "bench/launch/ownership.h"
#include "bench/plan/images.h"
#include "bench/plan/numbers.h"
#include "checkpoint/hub/hub.h"
#include "ops/cpu/isa.h"
#include "ops/cuda/probe/probe.h"

extern char** environ;

namespace mica {
namespace {

namespace fs = std::filesystem;

fs::path settings_folder() {
  const char* xdg = std::getenv("XDG_CONFIG_HOME");
  if (xdg && *xdg) return fs::path(xdg) / "mica";
  const char* home = std::getenv("HOME");
  return home && *home ? fs::path(home) / ".config" / "mica" : fs::path();
}

int numa_nodes() {
  int count = 0;
  std::error_code failed;
  fs::directory_iterator it("/sys/devices/system/node", failed);
  for (const fs::directory_iterator end; !failed && it != end; it.increment(failed)) {
    const std::string name = it->path().filename().string();
    count += name.starts_with("node") && parse_integer(name.substr(4)).has_value();
  }
  return std::max(count, 1);
}

std::pair<std::string, std::string> name_and_value(const std::string& text, const char* flag) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == text.npos)
    throw Error(ErrorKind::kUsage, "[plan] {}: expected NAME=VALUE, found '{}'", flag, text);
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::vector<PlanGpu> probed_gpus() {
  std::vector<PlanGpu> gpus;
  const gpu::GpuProbe probe = gpu::probe_gpus();
  for (const gpu::GpuFacts& found : probe.gpus) {
    PlanGpu gpu;
    gpu.index = found.index;
    gpu.name = found.name;
    gpu.compute = static_cast<int>(found.capability.value_or(0));
    const int64_t total = found.memory_total.value_or(0);
    gpu.total = static_cast<uint64_t>(total) << 20;
    gpu.free = static_cast<uint64_t>(std::max<int64_t>(total - found.memory_used.value_or(0), 0))
               << 20;
    gpus.push_back(gpu);
  }
  return gpus;
}

std::vector<int> indices_of(const std::string& text, const char* flag) {
  std::vector<int> indices;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const auto index = parse_integer(text.substr(begin, end - begin));
    if (!index || *index < 0 || *index > 1023)
      throw Error(ErrorKind::kUsage, "[plan] {}: expected numbers of GPUs as 0,1, found '{}'", flag,
                  text);
    indices.push_back(static_cast<int>(*index));
    begin = end + 1;
  }
  return indices;
}

// "96GB" and "96GiB" are 96 times 2^30, as makers of GPUs count.
uint64_t gpu_bytes(const std::string& text) {
  std::string number = text;
  for (const char* unit : {"GiB", "GB", "G"})
    if (number.ends_with(unit)) {
      number.resize(number.size() - std::string(unit).size());
      break;
    }
  const auto value = parse_number(number);
  return value && *value > 0 && *value < 100'000 ? static_cast<uint64_t>(*value * (1 << 30)) : 0;
}

// A setting that is a positive number.
void add_number(CLI::App& command, PlanInputs& inputs, const char* flag, const char* name,
                const char* help) {
  auto& settings = inputs.request.settings;
  command
      .add_option_function<int64_t>(
          flag, [&settings, name](const int64_t& value) { settings[name] = std::to_string(value); },
          help)
      ->check(CLI::PositiveNumber);
}

void add_engine_flags(CLI::App& command, PlanInputs& inputs) {
  auto& settings = inputs.request.settings;
  const auto number = [&](const char* flag, const char* name, const char* help) {
    add_number(command, inputs, flag, name, help);
  };
  number("--context", "context", "Tokens of a sequence, prompt and answer");
  number("--tensor-parallel", "tensor_parallel", "GPUs that share each layer (default: all found)");
  command.add_option_function<std::string>(
      "--memory-fraction",
      [&settings](const std::string& value) { settings["memory_fraction"] = value; },
      "Share of the GPU's memory that the backend may take");
  command.add_option_function<std::string>(
      "--served-name", [&settings](const std::string& value) { settings["served_name"] = value; },
      "The model's name in requests");
  command.add_flag_callback(
      "--trust-remote-code", [&settings] { settings["trust_remote_code"] = "true"; },
      "Let the backend run code that the model brings");
  command.add_option("--set", inputs.settings, "A setting of the backend, NAME=VALUE; repeatable")
      ->allow_extra_args(false);
  command
      .add_option("--env", inputs.variables, "A variable for the backend, NAME=VALUE; repeatable")
      ->allow_extra_args(false);
  command
      .add_option("--extra-arg", inputs.request.extra_arguments,
                  "A word for the backend's command line, as --extra-arg=--flag; repeatable")
      ->allow_extra_args(false);
  command
      .add_option("--docker-option", inputs.request.docker_options,
                  "A word for `docker run`; repeatable")
      ->allow_extra_args(false);
}

fs::path pins_path() {
  return settings_folder() / "pins.yaml";
}

std::map<std::string, std::string> read_pins() {
  constexpr size_t kMaxBytes = size_t{1} << 20;
  std::error_code ignored;
  const fs::path path = pins_path();
  if (!fs::is_regular_file(path, ignored)) return {};
  return parse_pins(read_text_file(path, kMaxBytes), path.string());
}

// What a running server calls its model, where it has only one.
std::optional<std::string> only_model_at(std::string url, const std::string& key) {
  while (url.ends_with('/')) url.pop_back();
  if (url.ends_with("/v1")) url.resize(url.size() - 3);
  const RequestSample answer =
      fetch({.url = url, .api_key = key}, "GET", "/v1/models", "", /*seconds=*/5);
  const auto list = nlohmann::json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (!list.is_object() || !list.contains("data") || !list["data"].is_array() ||
      list["data"].size() != 1 || !list["data"][0].is_object())
    return std::nullopt;
  const auto id = list["data"][0].find("id");
  if (id == list["data"][0].end() || !id->is_string()) return std::nullopt;
  return id->get<std::string>();
}

}  // namespace

std::vector<PlanGpu> parse_gpus(const std::string& text) {
  const auto fail = [&] {
    throw Error(ErrorKind::kUsage,
                "[plan] --assume-gpu: expected such as 96GB, 96GB@12.0 or 2x96GB@12.0, found '{}'",
                text);
  };
  const size_t times = text.find('x'), at = text.find('@');
  int64_t count = 1;
  if (times != text.npos) count = parse_integer(text.substr(0, times)).value_or(0);
  const size_t begin = times == text.npos ? 0 : times + 1;
  if (at != text.npos && at < begin) fail();
  PlanGpu gpu;
  gpu.name = "assumed";
  gpu.total = gpu.free = gpu_bytes(text.substr(begin, at == text.npos ? at : at - begin));
  if (at != text.npos) {
    const auto compute = parse_number(text.substr(at + 1));
    if (!compute || *compute < 1 || *compute > 99) fail();
    gpu.compute = static_cast<int>(*compute * 10 + 0.5);
  }
  if (gpu.total == 0 || count < 1 || count > 64) fail();
  return std::vector<PlanGpu>(static_cast<size_t>(count), gpu);
}

void add_plan_flags(CLI::App& command, PlanInputs& inputs) {
  PlanRequest& request = inputs.request;
  command.add_option("model,--model", request.model,
                     "Folder or file, org/name[@revision], or a name of the models file");
  command.add_option("--backend", request.backend,
                     "mica, mlx-lm, vllm, sglang, llamacpp, trtllm, exllamav3, ktransformers "
                     "(default: the models file's, else by the model's format)");
  command.add_option("--url", request.url, "Of a running server: nothing is started");
  command.add_option("--host", request.host, "Address to listen on (default: 127.0.0.1)");
  command.add_option("--port", request.port, "Port to listen on (default: the backend's)");
  command.add_option("--backend-version", request.version, "Version, in the image's tag");
  command.add_option("--image", request.image, "Docker image");
  add_number(command, inputs, "--concurrency", "concurrency", "Sequences at one time");
  add_shared_plan_flags(command, inputs);
  command.add_option_function<std::string>(
      "--device", [&request](const std::string& value) { request.settings["device"] = value; },
      "Where Mica computes: auto, cpu or cuda");
  add_number(command, inputs, "--kv-bits", "kv_bits", "Bits of keys and values: 16, 8 or 4");
}

void add_shared_plan_flags(CLI::App& command, PlanInputs& inputs) {
  PlanRequest& request = inputs.request;
  command.add_option("--launch", inputs.mode, "docker, process or attach")
      ->check(CLI::IsMember({"docker", "process", "attach"}));
  add_config_flags(command, inputs);
  command.add_option("--profile", request.profile,
                     "Profile of the model, or none; `mica bench` takes several as a,b");
  command.add_option("--gguf", request.gguf,
                     "GGUF file of a folder: its name or a part, as Q4_K_M");
  command.add_option("--mmproj", request.projector, "Vision projector, or none");
  command.add_flag("--vision", request.vision, "Images will be sent: a projector is needed");
  command.add_option("--gpus", inputs.gpu_indices, "Which GPUs, as 0,1 (default: all)");
  command
      .add_option("--assume-gpu", inputs.gpus,
                  "Plan for these instead of this machine's, as 2x96GB@12.0; repeatable")
      ->allow_extra_args(false);
  command.add_flag("--force", request.force, "Also what a capability table refuses");
  add_engine_flags(command, inputs);
}

std::optional<std::string> environment_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

void add_config_flags(CLI::App& command, PlanInputs& inputs) {
  command.add_option("--models-file,--config", inputs.models_file,
                     "Models file (default: config/models.yaml, else ~/.config/mica/models.yaml)");
  command.add_option("--backends-dir", inputs.backends_folder,
                     "Folder of descriptors that replace built-in ones or add to them (also read: "
                     "~/.config/mica/backends)");
}

BackendTable backend_table(const PlanInputs& inputs) {
  BackendTable table;
  std::error_code ignored;
  const fs::path own = settings_folder() / "backends";
  if (fs::is_directory(own, ignored)) table.add_folder(own);
  if (!inputs.backends_folder.empty()) table.add_folder(inputs.backends_folder);
  return table;
}

ModelsFile models_file(const PlanInputs& inputs, const BackendTable& table) {
  constexpr size_t kMaxBytes = size_t{4} << 20;
  std::error_code ignored;
  fs::path path = inputs.models_file;
  if (!path.empty() && !fs::exists(path, ignored))
    throw Error(ErrorKind::kUsage, "[plan] --models-file {}: there is no such file", path.string());
  for (const fs::path& standard :
       {fs::path("config/models.yaml"), settings_folder() / "models.yaml"})
    if (path.empty() && fs::is_regular_file(standard, ignored)) path = standard;
  if (path.empty()) return {};
  return parse_models_file(read_text_file(path, kMaxBytes), path.string(), table);
}

fs::path write_pins(const std::map<std::string, std::string>& pins) {
  std::map<std::string, std::string> all = read_pins();
  for (const auto& [image, digest] : pins) all[image] = digest;
  fs::create_directories(pins_path().parent_path());
  write_text_file(pins_path(), pins_yaml(all));
  return pins_path();
}

PlanFacts plan_facts(const PlanInputs& inputs) {
  PlanFacts facts;
  if (inputs.gpus.empty()) {
    facts.gpus = probed_gpus();
  } else {
    for (const std::string& text : inputs.gpus)
      for (const PlanGpu& gpu : parse_gpus(text)) facts.gpus.push_back(gpu);
    for (size_t i = 0; i < facts.gpus.size(); ++i) facts.gpus[i].index = static_cast<int>(i);
  }
  facts.cores = default_threads();
  facts.numa_nodes = numa_nodes();
  facts.pins = read_pins();
  facts.host_available = read_memory().available;
  facts.user = fmt::format("{}:{}", ::getuid(), ::getgid());
  facts.hub_cache = fs::absolute(hub_options_from_environment().cache);
  for (char** variable = environ; *variable; ++variable) {
    const std::string text = *variable;
    if (const size_t equals = text.find('='); equals != text.npos)
      facts.environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  facts.state = default_state_folder();
  std::error_code failed;
  const fs::path self = fs::read_symlink("/proc/self/exe", failed);
  if (!failed) facts.programs["mica"] = self.string();
  return facts;
}

PlanRequest plan_request(const PlanInputs& inputs) {
  PlanRequest request = inputs.request;
  if (inputs.mode == "docker") request.mode = LaunchMode::kDocker;
  if (inputs.mode == "process") request.mode = LaunchMode::kProcess;
  if (inputs.mode == "attach") request.mode = LaunchMode::kAttach;
  if (!request.url.empty() && request.mode && request.mode != LaunchMode::kAttach)
    throw Error(ErrorKind::kUsage,
                "[plan] --url is of a running server, and --launch {} starts one", inputs.mode);
  for (const std::string& text : inputs.settings)
    request.own_settings.insert(name_and_value(text, "--set"));
  for (const std::string& text : inputs.variables)
    request.environment.insert(name_and_value(text, "--env"));
  if (!inputs.gpu_indices.empty()) {
    request.gpus = indices_of(inputs.gpu_indices, "--gpus");
  } else if (const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
             visible && *visible && inputs.gpus.empty() &&
             std::string(visible).find_first_not_of("0123456789,") == std::string::npos) {
    request.gpus = indices_of(visible, "CUDA_VISIBLE_DEVICES");
  }
  return request;
}

void ask_served_name(PlanRequest& request, const std::string& key) {
  if (request.url.empty() || request.settings.contains("served_name")) return;
  if (const auto served = only_model_at(request.url, key))
    request.settings["served_name"] = *served;
}

}  // namespace mica

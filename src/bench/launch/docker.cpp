#include "bench/launch/docker.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/process.h"
#include "bench/launch/ownership.h"

namespace mica {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Clock = std::chrono::steady_clock;
using Words = std::vector<std::string>;

constexpr double kQuestionSeconds = 20;  // a daemon that pulls may be slow to answer
constexpr double kRemovalSeconds = 300;  // of tens of GB
constexpr auto kLookInterval = std::chrono::milliseconds(50);

ProcessResult ask(const std::string& program, const Words& arguments,
                  double seconds = kQuestionSeconds) {
  Words argv = {program};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return ChildProcess::program(argv, seconds).finish();
}

LaunchError failed(LaunchProblem problem, std::string what, std::string advice = "",
                   ErrorKind kind = ErrorKind::kBackend) {
  LaunchFailure failure;
  failure.problem = problem;
  failure.kind = kind;
  failure.what = std::move(what);
  failure.advice = std::move(advice);
  return LaunchError(std::move(failure));
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Warnings may stand before and behind it. Null when there is none.
json json_line(const std::string& output) {
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with('{')) continue;
    json value = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (value.is_object()) return value;
  }
  return nullptr;
}

std::string words_of(const ProcessResult& result) {
  if (result.timed_out) return "no answer in time";
  std::istringstream lines(result.output);
  std::string line, last;
  while (std::getline(lines, line))
    if (!line.empty() && !line.starts_with('{')) last = line;
  return last.empty() ? fmt::format("it ended with {}", result.status) : last;
}

std::string text_at(const json& value, const char* key) {
  const auto found = value.is_object() ? value.find(key) : value.end();
  return found != value.end() && found->is_string() ? found->get<std::string>() : "";
}

template <typename Number>
Number number_at(const json& value, const char* key) {
  const auto found = value.is_object() ? value.find(key) : value.end();
  return found != value.end() && (found->is_number() || found->is_boolean()) ? found->get<Number>()
                                                                             : Number();
}

const json& object_at(const json& value, const char* key) {
  static const json kEmpty = json::object();
  const auto found = value.is_object() ? value.find(key) : value.end();
  return found != value.end() && found->is_object() ? *found : kEmpty;
}

// Files of the container device interface, by which a daemon without NVIDIA's runtime gives GPUs.
bool has_device_files() {
  for (const char* folder : {"/etc/cdi", "/var/run/cdi"}) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored))
      if (contains(entry.path().filename().string(), "nvidia")) return true;
  }
  return false;
}

bool gives_gpus(const json& info, const Words& runtimes) {
  if (std::find(runtimes.begin(), runtimes.end(), "nvidia") != runtimes.end()) return true;
  if (contains(info.dump(), "nvidia.com/gpu")) return true;
  // A daemon of another machine can't be looked into.
  if (std::getenv("DOCKER_HOST")) return true;
  const char* path = std::getenv("PATH");
  const std::string folders = std::string(path ? path : "") + ":/usr/bin:/usr/local/bin";
  return has_device_files() || !find_program("nvidia-container-runtime-hook", folders).empty();
}

LaunchError no_daemon(const ProcessResult& result) {
  if (contains(result.output, "permission denied"))
    return failed(LaunchProblem::kDockerPermission,
                  "Docker is there, but this user may not speak to it: " + words_of(result),
                  "join the group and log in anew: sudo usermod -aG docker $USER");
  return failed(LaunchProblem::kDockerDaemon, "Docker does not answer: " + words_of(result),
                "start it: sudo systemctl start docker");
}

ContainerFacts container_facts(const json& value) {
  const json &state = object_at(value, "State"), &config = object_at(value, "Config");
  ContainerFacts facts;
  facts.id = text_at(value, "Id");
  facts.name = text_at(value, "Name");
  if (facts.name.starts_with('/')) facts.name.erase(0, 1);
  facts.image = text_at(config, "Image");
  facts.run = text_at(object_at(config, "Labels"), kRunLabel);
  facts.status = text_at(state, "Status");
  facts.running = number_at<bool>(state, "Running");
  facts.out_of_memory = number_at<bool>(state, "OOMKilled");
  facts.exit_code = number_at<int>(state, "ExitCode");
  facts.error = text_at(state, "Error");
  facts.pid = number_at<pid_t>(state, "Pid");
  return facts;
}

}  // namespace

std::string repository(const std::string& image) {
  const std::string name = image.substr(0, image.find('@'));
  const size_t slash = name.rfind('/'), colon = name.rfind(':');
  const bool tag = colon != std::string::npos && (slash == std::string::npos || colon > slash);
  return tag ? name.substr(0, colon) : name;
}

Docker::Docker(const std::string& program) : program_(program) {
  if (program.find('/') == std::string::npos) {
    const char* path = std::getenv("PATH");
    program_ = find_program(program, path ? path : "/usr/bin:/usr/local/bin").string();
  }
  if (program_.empty() || ::access(program_.c_str(), X_OK) != 0)
    throw failed(
        LaunchProblem::kDockerMissing,
        fmt::format("program '{}' was not found, and this plan runs in a container", program),
        "install Docker, or start the backend as a process or attach to a URL");
}

DockerFacts Docker::preflight(bool gpus) const {
  const ProcessResult result = ask(program_, {"info", "--format", "{{json .}}"});
  const json info = json_line(result.output);
  DockerFacts facts;
  facts.version = text_at(info, "ServerVersion");
  if (!result.ok() || facts.version.empty()) throw no_daemon(result);
  for (const auto& [name, ignored] : object_at(info, "Runtimes").items())
    facts.runtimes.push_back(name);
  facts.gpus = gives_gpus(info, facts.runtimes);
  if (gpus && !facts.gpus)
    throw failed(LaunchProblem::kDockerGpus,
                 "Docker can't give GPUs to containers: no runtime 'nvidia', no device files in "
                 "/etc/cdi",
                 "install the NVIDIA container toolkit, then: sudo nvidia-ctk runtime configure "
                 "--runtime=docker && sudo systemctl restart docker",
                 ErrorKind::kDevice);
  return facts;
}

std::optional<ImageFacts> Docker::image(const std::string& name) const {
  const ProcessResult result = ask(program_, {"image", "inspect", "--format", "{{json .}}", name});
  const json value = result.ok() ? json_line(result.output) : json();
  if (!value.is_object()) return std::nullopt;
  ImageFacts facts{name, text_at(value, "Id"), "", text_at(value, "Created"),
                   number_at<uint64_t>(value, "Size")};
  const auto digests = value.find("RepoDigests");
  if (digests == value.end() || !digests->is_array()) return facts;
  for (const json& digest : *digests) {
    if (!digest.is_string()) continue;
    const std::string text = digest.get<std::string>();
    if (facts.digest.empty() || repository(text) == repository(name)) facts.digest = text;
  }
  return facts;
}

std::string Docker::remove_image(const std::string& id) const {
  const ProcessResult result = ask(program_, {"image", "rm", id}, kRemovalSeconds);
  return result.ok() ? "" : words_of(result);
}

std::optional<ContainerFacts> Docker::container(const std::string& id) const {
  const ProcessResult result =
      ask(program_, {"container", "inspect", "--format", "{{json .}}", id});
  const json value = result.ok() ? json_line(result.output) : json();
  if (value.is_object()) return container_facts(value);
  // Only the daemon's word is a proof: what could not be asked may run.
  if (contains(result.output, "o such container")) return std::nullopt;
  throw no_daemon(result);
}

std::vector<ContainerFacts> Docker::listed(const Words& arguments) const {
  Words words = {"ps", "--quiet", "--no-trunc"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const ProcessResult result = ask(program_, words);
  if (!result.ok()) throw no_daemon(result);
  std::vector<ContainerFacts> containers;
  std::istringstream lines(result.output);
  for (std::string id; lines >> id;)
    if (auto facts = container(id)) containers.push_back(std::move(*facts));
  return containers;
}

std::vector<ContainerFacts> Docker::labelled(const std::string& run) const {
  return listed({"--all", "--filter", fmt::format("label={}={}", kRunLabel, run)});
}

std::vector<ContainerFacts> Docker::publishing(uint16_t port) const {
  return listed({"--filter", fmt::format("publish={}", port)});
}

std::vector<pid_t> Docker::processes(const std::string& id) const {
  const ProcessResult result = ask(program_, {"top", id, "-eo", "pid"});
  std::vector<pid_t> pids;
  std::istringstream lines(result.ok() ? result.output : "");
  for (std::string word; lines >> word;)
    if (const int pid = std::atoi(word.c_str()); pid > 0) pids.push_back(pid);
  return pids;
}

StopReport Docker::stop(const std::string& id, const StopPatience& patience) const {
  StopReport report;
  auto facts = container(id);
  if (!facts) return report;
  report.stopped = facts->running ? 1 : 0;
  if (facts->running) {
    report.signal = SIGINT;
    ask(program_, {"kill", "--signal", "INT", facts->id});
    const auto deadline = Clock::now() + patience.interrupt;
    while ((facts = container(id)) && facts->running && Clock::now() < deadline)
      std::this_thread::sleep_for(kLookInterval);
  }
  if (facts && facts->running) {
    // SIGTERM, and SIGKILL after the wait; the daemon counts in seconds.
    const auto wait = std::chrono::ceil<std::chrono::seconds>(patience.terminate);
    const auto limit = std::chrono::duration<double>(wait + patience.kill).count();
    ask(program_, {"stop", "-t", std::to_string(wait.count()), facts->id},
        limit + kQuestionSeconds);
    facts = container(id);
    report.signal = facts && facts->exit_code == 128 + SIGKILL ? SIGKILL : SIGTERM;
  }
  // Ends it as well, should it still run.
  const ProcessResult removed = ask(program_, {"rm", "--force", "--volumes", id});
  if (!removed.ok() && container(id))
    report.left.push_back(fmt::format("container {}: {}", id, words_of(removed)));
  return report;
}

StopReport Docker::stop_labelled(const std::string& run, bool may_come,
                                 const StopPatience& patience) const {
  const int looks = may_come ? 8 : 1;
  StopReport report;
  for (int look = 0; look < looks; ++look) {
    if (look > 0) std::this_thread::sleep_for(std::chrono::milliseconds(200));
    const auto containers = labelled(run);
    for (const ContainerFacts& container : containers) add(report, stop(container.id, patience));
    if (!containers.empty()) break;
  }
  return report;
}

}  // namespace mica

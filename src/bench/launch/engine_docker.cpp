// An engine in a container.
#include <signal.h>

#include <algorithm>
#include <iterator>

#include "bench/launch/container_members.h"
#include "bench/launch/engine_state.h"
#include "bench/launch/images.h"

namespace mica {
namespace {

using Words = std::vector<std::string>;

// What `docker run` says of itself; else the status is the program's.
constexpr int kDaemonRefused = 125, kNotExecutable = 126, kNotFound = 127;

bool wants_gpus(const LaunchPlan& plan) {
  return std::any_of(plan.docker_options.begin(), plan.docker_options.end(),
                     [](const PlanArgument& option) {
                       return !option.words.empty() && option.words[0].starts_with("--gpus");
                     });
}

// These would take the container away from its client, or before it was looked at.
bool is_refused_option(const std::string& word) {
  static constexpr const char* kRefused[] = {"--rm", "-d", "--detach", "-it",          "-ti",
                                             "-t",   "-i", "--tty",    "--interactive"};
  return std::find(std::begin(kRefused), std::end(kRefused), word) != std::end(kRefused);
}

}  // namespace

std::vector<ProcessFacts> ContainerMembers::look(const std::string& id) {
  constexpr double kAskInterval = 5;
  std::vector<ProcessFacts> members;
  if (id.empty()) return members;
  for (const ProcessFacts& process : all_processes()) {
    const std::string groups = read_proc(fmt::format("/proc/{}/cgroup", process.id.pid));
    if (groups.find(id) != std::string::npos) members.push_back(process);
  }
  if (!members.empty()) return members;
  if (steady_seconds() - asked_ >= kAskInterval) {
    told_ = docker_.processes(id);
    asked_ = steady_seconds();
  }
  for (const pid_t pid : told_)
    if (auto process = read_process(pid)) members.push_back(std::move(*process));
  return members;
}

void EngineState::prepare_docker() {
  docker_.emplace(options_.docker);
  container_members_ = std::make_unique<ContainerMembers>(*docker_);
  const DockerFacts facts = docker_->preflight(wants_gpus(plan_));
  const ImageWanted wanted = wanted_image(plan_);
  if (!options_.rebuild) image = docker_->image(wanted.name);
  if (!image) {
    tell(LaunchProgress::Kind::kStep,
         fmt::format("{} {}", plan_.build ? "building" : "pulling", wanted.name));
    const auto progress = [this](const std::string& line) {
      tell(LaunchProgress::Kind::kLog, line);
    };
    const ImageRecords records(options_.state_folder.empty() ? default_state_folder()
                                                             : options_.state_folder);
    try {
      image =
          obtain_image(*docker_, wanted, options_.rebuild, records, progress, options_.interrupt);
    } catch (LaunchError& error) {
      LaunchFailure failure = error.failure();
      if (!plan_.image_hint.empty()) failure.notes.push_back(plan_.image_hint);
      throw LaunchError(std::move(failure));
    }
  }
  tell(LaunchProgress::Kind::kStep,
       fmt::format("Docker {}, image {}", facts.version, image->pinned()));
}

// The plan's command with the image pinned, and with what ties the container to this launch.
ProcessSpec EngineState::container_spec() {
  const Words command = plan_.command(/*masked=*/false);
  const std::string planned =
      plan_.digest.empty() ? plan_.image.value : plan_.image.value + "@" + plan_.digest;
  MICA_CHECK(command.size() > 2 && command[1] == "run");
  const auto at = std::find(command.begin(), command.end(), planned);
  MICA_CHECK_MSG(at != command.end(), "the command has no image '{}'", planned);
  const Owner& owner = record_.owner;
  ProcessSpec spec;
  spec.argv = {
      docker_->program(),
      "run",
      "--name",
      record_.container->name,
      "--cidfile",
      container_id_file_.string(),
      "--label",
      fmt::format("{}={}", kRunLabel, record_.run),
      "--label",
      fmt::format("{}={}:{}:{}", kOwnerLabel, owner.host, owner.process.pid, owner.process.start)};
  for (auto word = command.begin() + 2; word != at; ++word)
    if (!is_refused_option(*word)) spec.argv.push_back(*word);
  spec.argv.push_back(image->pinned());
  spec.argv.insert(spec.argv.end(), at + 1, command.end());
  for (const PlanVariable& variable : plan_.environment)
    if (variable.secret) spec.environment.emplace_back(variable.name, variable.value);
  return spec;
}

void EngineState::start_container() {
  record_.container = OwnedContainer{docker_->program(), "mica-" + record_.run, ""};
  container_id_file_ = std::filesystem::path(record_.log).parent_path() / (record_.run + ".cid");
  tell(LaunchProgress::Kind::kStep, "starting container " + record_.container->name);
  run_program(container_spec());
}

void EngineState::add_container_facts(LaunchFailure& failure) {
  std::optional<ContainerFacts> container;
  try {
    container = docker_->container(record_.container->name);
  } catch (const LaunchError& error) {
    failure.notes.push_back(error.failure().what);
    return;
  }
  const int status = failure.end.status;
  if (!container || container->status == "created") {
    const bool refused =
        status == kDaemonRefused || status == kNotExecutable || status == kNotFound;
    if (refused) {
      failure.problem = LaunchProblem::kContainerStart;
      failure.what = "Docker did not start the container";
    }
    if (container && !container->error.empty())
      failure.notes.push_back("Docker: " + container->error);
    return;
  }
  if (container->running) {
    failure.notes.push_back("Docker's client ended while the container ran; it is stopped");
    return;
  }
  failure.end = {container->exit_code, container->exit_code > 128 ? container->exit_code - 128 : 0};
  if (!container->error.empty()) failure.notes.push_back("Docker: " + container->error);
  if (!container->out_of_memory) return;
  failure.kind = ErrorKind::kOutOfMemory;
  failure.cause = "the container's memory was full, and the kernel ended it (OOMKilled)";
  failure.advice = "raise or remove the container's --memory, or free memory of the host";
}

void EngineState::stop_containers(StopReport& report, bool may_come) {
  try {
    add(report, docker_->stop_labelled(record_.run, may_come, options_.stop));
  } catch (const Error& error) {
    report.left.push_back(fmt::format("container {}: {}", record_.container->name, error.what()));
  }
}

}  // namespace mica

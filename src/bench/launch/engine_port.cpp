// The port before the start.
#include <charconv>

#include "bench/launch/engine_state.h"
#include "bench/plan/resolver.h"

namespace mica {
namespace {

uint16_t port_number(const LaunchPlan& plan) {
  uint16_t port = 0;
  const std::string& text = plan.port.value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0)
    throw Error(ErrorKind::kUsage, "[launch] port: expected 1 to 65535, found '{}' ({})", text,
                plan.port.origin.text);
  return port;
}

}  // namespace

void EngineState::look_at_attached() {
  const std::string& host = plan_.host.value;  // of a URL: "[::1]"
  if (!is_loopback(host.starts_with('[') ? host.substr(1, host.size() - 2) : host)) return;
  const auto holder = port_holder(plan_.host.value, port_number(plan_), nullptr);
  // Docker's proxy holds the port of a container whose processes it does not know.
  if (!holder || holder->process.pid == 0 || holder->text.find("docker-proxy") != std::string::npos)
    return;
  const ProcessId process = holder->process;
  if (living_group(process).empty()) return;
  sees_attached_ = true;
  sampler_->set_members([process] { return living_group(process); });
}

void EngineState::stop_holder(const PortHolder& holder, const Docker* docker) {
  tell(LaunchProgress::Kind::kStep, "stopping " + holder.text);
  if (holder.container && docker) {
    docker->stop(holder.container->id, options_.stop);
    return;
  }
  const std::string mark = variable_of(holder.process.pid, "MICA_LAUNCH");
  stop_processes({holder.process, launch_mark(mark), {}}, options_.stop);
}

void EngineState::refuse_taken_port() {
  const uint16_t port = port_number(plan_);
  std::optional<Docker> docker = docker_;
  for (;;) {
    check_interrupt(LaunchPhase::kPrepare);
    auto holder = port_holder(plan_.host.value, port, docker ? &*docker : nullptr);
    if (!holder) return;
    if (!docker && holder->process.pid == 0) {
      // A published port is held by a process of root: the container has the name.
      try {
        docker.emplace(options_.docker);
        continue;
      } catch (const Error&) {
      }
    }
    const PortAnswer answer = options_.ask_port ? options_.ask_port(*holder) : PortAnswer::kGiveUp;
    if (answer == PortAnswer::kRetry) continue;
    if (answer == PortAnswer::kStop && holder->by_mica) {
      stop_holder(*holder, docker ? &*docker : nullptr);
      continue;
    }
    LaunchFailure failure;
    failure.problem = LaunchProblem::kPortTaken;
    failure.what = fmt::format("port {} is held by {}{}", port, holder->text,
                               holder->by_mica ? ", which Mica started" : "");
    const std::string command = how_to_free(*holder);
    const uint16_t other = free_port_near(plan_.host.value, port);
    failure.advice = command.empty() ? "" : "free it: " + command;
    if (other > 0)
      failure.advice += fmt::format("{}--port {}", failure.advice.empty() ? "" : "; or ", other);
    throw LaunchError(std::move(failure));
  }
}

}  // namespace mica

// mica serve --backend B: another engine, started by its plan, watched, and stopped with all that
// stands beside it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <random>

#include "base/log.h"
#include "bench/client/fetch.h"
#include "bench/launch/first_token.h"
#include "bench/launch/sidecars.h"
#include "bench/plan/show.h"
#include "cli/commands.h"
#include "cli/launch_console.h"
#include "cli/plan_inputs.h"
#include "cli/serve_detached.h"

namespace mica {
namespace {

struct ServeBackendFlags {
  PlanInputs inputs;
  bool test_only = false, no_warmup = false, webui = false, litellm = false, rebuild = false;
  SidecarOptions webui_options, litellm_options;
  std::string api_key, docker = "docker";
  double start_timeout = 0, health_seconds = 10;
  bool detach = false, list = false;
  std::string stop;
  bool no_api_key = false;
};

struct Served {
  ResolvedPlan resolved;
  std::map<std::string, Sidecar> sidecars;  // of the models file
  int64_t weight_mib = -1;
  bool made_key = false;
};

// For an address that other machines reach, where the user gave none: 128 random bits.
std::string new_key() {
  std::random_device random;
  std::string key = "mica-";
  for (int i = 0; i < 4; ++i) key += fmt::format("{:08x}", random());
  return key;
}

// Makes a key where one is needed and the backend can be told one.
Served resolve(ServeBackendFlags& flags) {
  const PlanInputs& inputs = flags.inputs;
  const BackendTable table = backend_table(inputs);
  const ModelsFile models = models_file(inputs, table);
  const PlanFacts facts = plan_facts(inputs);
  PlanRequest request = plan_request(inputs);
  ask_served_name(request);
  request.key = flags.api_key;
  Served served{resolve_plan(request, table, models, facts), models.sidecars};
  const LaunchPlan& plan = served.resolved.plan;
  if (flags.api_key.empty() && !flags.no_api_key && plan.mode != LaunchMode::kAttach &&
      !is_loopback(plan.host.value) && table.get(plan.backend).key.is_taken()) {
    request.key = flags.api_key = new_key();
    served.resolved = resolve_plan(request, table, models, facts);
    served.made_key = true;
  }
  const auto fit =
      fit_plan(served.resolved, table.get(served.resolved.plan.backend), facts, request.gpus);
  if (fit) served.weight_mib = static_cast<int64_t>(fit->weights >> 20);
  if (fit && fit->known && !fit->fits)
    log_warning("[serve] the model may not fit the memory:\n{}", fit_to_text(*fit));
  return served;
}

// What the models file says, where the command line does not.
SidecarOptions merged(SidecarOptions options, const Served& served, const std::string& name,
                      std::string pin) {
  const auto found = served.sidecars.find(name);
  if (found == served.sidecars.end()) return options;
  const Sidecar& sidecar = found->second;
  if (!sidecar.version.empty()) pin = pin.substr(0, pin.rfind(':')) + ":" + sidecar.version;
  if (!sidecar.image.empty())
    pin = sidecar.image + (sidecar.version.empty() ? "" : ":" + sidecar.version);
  if (options.image.empty()) options.image = pin;
  if (options.port == 0) options.port = static_cast<uint16_t>(sidecar.port);
  if (options.alias.empty()) options.alias = sidecar.alias;
  return options;
}

bool wanted(bool flag, const Served& served, const std::string& name) {
  const auto found = served.sidecars.find(name);
  return flag || (found != served.sidecars.end() && found->second.enabled);
}

std::vector<LaunchPlan> sidecar_plans(const ServeBackendFlags& flags, const Served& served) {
  const LaunchPlan& plan = served.resolved.plan;
  const SidecarTarget target{plan.url, plan.served_name.value, flags.api_key};
  std::vector<LaunchPlan> plans;
  if (wanted(flags.webui, served, "open_webui"))
    plans.push_back(open_webui_plan(
        target, merged(flags.webui_options, served, "open_webui", kOpenWebuiImage)));
  if (wanted(flags.litellm, served, "litellm"))
    plans.push_back(litellm_plan(target,
                                 merged(flags.litellm_options, served, "litellm", kLitellmImage),
                                 default_state_folder() / "sidecars"));
  return plans;
}

LaunchOptions engine_options(const ServeBackendFlags& flags, const Served& served,
                             const Interrupts& interrupts) {
  LaunchOptions options =
      console_launch_options(served.resolved.plan.backend, true, interrupts.token());
  options.docker = flags.docker;
  options.rebuild = flags.rebuild;
  options.key = flags.api_key;
  options.gpu.weight_mib = served.weight_mib;
  if (!flags.no_warmup) options.first_token = client_first_token(flags.api_key);
  return options;
}

// A few more requests of the same kind: kernels of other shapes are compiled now, not for the user.
void warm_up(const LaunchPlan& plan, const ServeBackendFlags& flags, const Interrupts& interrupts) {
  constexpr int kRequests = 2;
  for (int i = 0; i < kRequests && !interrupts.requested(); ++i) {
    const RequestSample record =
        client_first_token(flags.api_key)(plan, plan.deadlines.first_token, interrupts.token());
    if (!record.ok())
      log_warning("[serve] a warm-up request failed: {} {}", name(record.status), record.error);
  }
}

std::vector<RunningEngine> start_sidecars(const ServeBackendFlags& flags, const Served& served,
                                          const Interrupts& interrupts) {
  std::vector<RunningEngine> running;
  for (const LaunchPlan& plan : sidecar_plans(flags, served)) {
    LaunchOptions options = console_launch_options(plan.backend, false, interrupts.token());
    options.docker = flags.docker;
    options.gpu_source = {"", "", 1};
    running.push_back(launch_engine(plan, options));
    std::printf("%s: %s\n", plan.backend.c_str(), plan.url.c_str());
  }
  return running;
}

void stop_and_tell(RunningEngine& engine) {
  for (const std::string& left : engine.stop().left)
    log_error("[serve] could not be stopped: {}", left);
}

// A process that lives may hang all the same: it is asked for its health now and then.
class HealthWatch {
 public:
  HealthWatch(const LaunchPlan& plan, const ServeBackendFlags& flags, const RunningEngine& engine)
      : plan_(plan), flags_(flags), engine_(engine) {}

  void look() {
    if (plan_.probes.health.empty() || flags_.health_seconds <= 0) return;
    const double now = steady_seconds();
    if (now - asked_ < flags_.health_seconds) return;
    constexpr double kPatience = 2;  // seconds
    const RequestSample answer = fetch({.url = plan_.url, .api_key = flags_.api_key}, "GET",
                                       plan_.probes.health, "", kPatience);
    asked_ = steady_seconds();
    if (answer.ok() && silent_since_ > 0)
      log_info("[serve] {} answers again, after {:.0f} s", plan_.probes.health,
               now - silent_since_);
    if (answer.ok()) silent_since_ = 0;
    if (answer.ok() || silent_since_ > 0) return;
    silent_since_ = now;
    log_warning("[serve] {} does not answer: {}; it lives, but {}", plan_.probes.health,
                answer.error.empty() ? name(answer.status) : answer.error.c_str(),
                describe(engine_.verdict(now - flags_.health_seconds, /*generated=*/false)));
  }

 private:
  const LaunchPlan& plan_;
  const ServeBackendFlags& flags_;
  const RunningEngine& engine_;
  double asked_ = steady_seconds(), silent_since_ = 0;
};

// Until the engine dies or the user ends it; sidecars are only missed.
void watch(RunningEngine& engine, std::vector<RunningEngine>& sidecars, HealthWatch& health,
           const Interrupts& interrupts) {
  constexpr auto kLook = std::chrono::milliseconds(500);
  while (!interrupts.requested()) {
    health.look();
    if (const auto failure = engine.wait(kLook, interrupts.token())) {
      while (!sidecars.empty()) {
        stop_and_tell(sidecars.back());
        sidecars.pop_back();
      }
      throw LaunchError(*failure);
    }
    std::erase_if(sidecars, [](RunningEngine& sidecar) {
      const auto failure = sidecar.failure();
      if (failure) log_warning("[serve] a sidecar ended:\n{}", describe(*failure));
      return failure.has_value();
    });
  }
}

// An interrupt while it starts ends the command.
RunningEngine launch_or_end(const LaunchPlan& plan, const LaunchOptions& options) {
  try {
    return launch_engine(plan, options);
  } catch (const LaunchError& error) {
    if (error.failure().problem != LaunchProblem::kInterrupted) throw;
    log_warning("[serve] {}", error.failure().what);
    throw Ending{kInterruptedStatus};
  }
}

void run(ServeBackendFlags flags) {
  if (flags.list) return list_served();
  if (!flags.stop.empty()) return stop_served(flags.stop);
  if (flags.detach) return serve_detached();
  const Interrupts interrupts;
  Served served = resolve(flags);
  LaunchPlan& plan = served.resolved.plan;
  if (flags.start_timeout > 0)
    plan.deadlines.start = std::chrono::seconds(static_cast<int64_t>(flags.start_timeout));
  recover_launches();
  std::fprintf(stderr, "%s\n", shell_command(plan).c_str());
  RunningEngine engine = launch_or_end(plan, engine_options(flags, served, interrupts));
  for (const std::string& warning : engine.warnings()) log_warning("[serve] {}", warning);
  if (!flags.no_warmup && !flags.test_only) warm_up(plan, flags, interrupts);
  const GpuVerdict verdict = engine.verdict(0, !flags.no_warmup);
  verdict.good() ? log_info("[serve] {}", describe(verdict))
                 : log_warning("[serve] {}", describe(verdict));
  std::printf("%s\n", describe(engine).c_str());
  std::vector<RunningEngine> sidecars;
  if (!flags.test_only) {
    sidecars = start_sidecars(flags, served, interrupts);
    if (served.made_key) std::printf("key (shown only here): %s\n", flags.api_key.c_str());
    std::printf("ready: %s  model %s  backend %s\n", plan.url.c_str(),
                plan.served_name.value.c_str(), plan.backend.c_str());
    std::fflush(stdout);
    HealthWatch health(plan, flags, engine);
    watch(engine, sidecars, health, interrupts);
  }
  while (!sidecars.empty()) {
    stop_and_tell(sidecars.back());
    sidecars.pop_back();
  }
  stop_and_tell(engine);
}

void add_sidecar_flags(CLI::App& command, ServeBackendFlags& flags) {
  command.add_flag("--webui", flags.webui, "Also start Open WebUI (Docker), a web page for chats");
  command.add_option("--webui-port", flags.webui_options.port,
                     fmt::format("Its port (default: {})", kOpenWebuiPort));
  command.add_option("--webui-image", flags.webui_options.image,
                     fmt::format("Its image (default: {})", kOpenWebuiImage));
  command.add_flag("--litellm", flags.litellm,
                   "Also start LiteLLM (Docker), a proxy with OpenAI's and Anthropic's APIs");
  command.add_option("--litellm-port", flags.litellm_options.port,
                     fmt::format("Its port (default: {})", kLitellmPort));
  command.add_option("--litellm-image", flags.litellm_options.image,
                     fmt::format("Its image (default: {})", kLitellmImage));
  command.add_option("--litellm-alias", flags.litellm_options.alias,
                     "The model's name behind it (default: the served name)");
}

}  // namespace

bool is_serve_of_backend(const std::vector<std::string>& arguments) {
  const auto serve = std::find(arguments.begin(), arguments.end(), "serve");
  return std::any_of(serve, arguments.end(), [](const std::string& word) {
    const std::string flag = word.substr(0, word.find('='));
    return flag == "--backend" || flag == "--url" || flag == "--list" || flag == "--stop";
  });
}

void add_serve_backend_command(CLI::App& app) {
  auto flags = std::make_shared<ServeBackendFlags>();  // lives as long as the callback
  CLI::App* command = app.add_subcommand("serve", "Start an engine by its plan and watch over it");
  add_plan_flags(*command, flags->inputs);
  command->add_option(
      "--api-key", flags->api_key,
      "Key that its clients must send, as a bearer token; made where --host is not loopback");
  command->add_flag("--no-api-key", flags->no_api_key, "None is made: whoever reaches it may ask");
  command->add_flag("--rebuild", flags->rebuild, "Pull or build the image anew");
  command->add_option("--docker", flags->docker, "Docker's program")->capture_default_str();
  command->add_option("--start-timeout", flags->start_timeout,
                      "Seconds until its port must be open (default: the backend's)");
  command
      ->add_option("--health-seconds", flags->health_seconds,
                   "Between questions for its health while it serves; 0: never")
      ->capture_default_str();
  command->add_flag("--detach", flags->detach,
                    "Return once it is ready; it is watched over in the background");
  command->add_flag("--list", flags->list, "Engines that Mica started and watches over");
  command->add_option("--stop", flags->stop, "End them: a run, a process, a backend, or all");
  command->add_flag("--test-only", flags->test_only,
                    "End once it has answered; with --url only ask a running server");
  command->add_flag("--no-warmup", flags->no_warmup, "No requests before it is called ready");
  add_sidecar_flags(*command, *flags);
  command->footer(
      "In the foreground; Ctrl-C stops the sidecars and the engine. docs/launch.md explains the "
      "phases.\nExit status: 0 ended by the user; 2 usage; 3 the GPU, its driver or memory; 5 it "
      "did not start\nor died; 130 interrupted before it was ready.");
  command->callback([flags] { run(*flags); });
}

}  // namespace mica

// mica serve: the server of OpenAI's and Anthropic's APIs; the flags of mlx_lm.server.
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/serve_models.h"
#include "cli/serve_operations.h"
#include "server/app.h"
#include "server/speed_watch.h"
#include "text/answer/answer_style.h"

namespace mica {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kSpeedCheckTime{30};

struct ServeFlags {
  ServedModelFlags models;
  AppOptions app;
  OperationFlags operation;
  double timeout = 3600;    // seconds
  int stream_interval = 5;  // milliseconds
  bool use_default_chat_template = false;
};

void allow_many_connections() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

sigset_t awaited_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  return set;
}

// The ending signal that came within `patience`, or 0. SIGHUP: certificate and key anew.
int wait_for_signal(App& app, std::chrono::milliseconds patience) {
  const sigset_t set = awaited_signals();
  const timespec time{patience.count() / 1000, patience.count() % 1000 * 1000000};
  const int signal = std::max(0, sigtimedwait(&set, nullptr, &time));
  if (signal != SIGHUP) return signal;
  try {
    app.reload_certificate();
    log_info("[serve] SIGHUP: new connections get the certificate as it is now");
  } catch (const Error& error) {
    log_error("{}; the old certificate stays", error.what());
  }
  return 0;
}

// A signal while other threads are at work that can't be interrupted.
[[noreturn]] void leave(int status) {
  std::fflush(nullptr);
  std::_Exit(status);
}

// Waits until no request runs; false when `patience` has passed. A second signal ends at once.
bool wait_for_requests(App& app, double patience) {
  const auto deadline = Clock::now() + milliseconds(patience);
  while (app.active_requests() > 0) {
    if (Clock::now() >= deadline) return false;
    if (const int signal = wait_for_signal(app, std::chrono::milliseconds(50)))
      leave(128 + signal);  // as a shell says it
  }
  return true;
}

// Running requests get their time, and then a word before they are cut off.
void drain(App& app, double patience) {
  app.drain();
  log_info("[serve] ending: {} requests are running", app.active_requests());
  if (wait_for_requests(app, patience)) return;
  log_warning("[serve] {} requests are cut off after {} seconds", app.active_requests(), patience);
  app.abort_requests();
  wait_for_requests(app, 2);
}

std::string address(const ServeFlags& flags, uint16_t port) {
  const std::string& host = flags.app.http.host;
  const bool v6 = host.find(':') != std::string::npos;
  const char* scheme = flags.app.http.ssl_cert_file.empty() ? "http" : "https";
  return fmt::format("{}://{}{}{}:{}", scheme, v6 ? "[" : "", host, v6 ? "]" : "", port);
}

// The first model, beside the server, which answers 503 meanwhile.
void load_default(App& app) {
  ModelRegistry& models = app.models();
  const std::string id = models.default_id();
  models.load(id);
  while (models.state(id).status == ModelStatus::kLoading)
    if (wait_for_signal(app, std::chrono::milliseconds(100)) != 0) leave(0);
  if (const auto failure = models.exception(id)) {
    app.stop();
    std::rethrow_exception(failure);
  }
}

// Until a signal comes. Speed is compared while nothing but the first model is loaded.
void watch_speed(App& app) {
  std::optional<SpeedWatch> watch;
  std::string watched;  // which loading of it
  while (wait_for_signal(app, kSpeedCheckTime) == 0) {
    ModelRegistry& models = app.models();
    const ModelLease lease = models.look(models.default_id());
    const ModelCounts counts = models.counts();
    if (!lease || counts.loaded != 1) continue;
    const std::string loading = fmt::format("{}", counts.loads);
    if (watched != loading) watch.emplace(lease->model->bandwidth, lease->model->layers);
    watched = loading;
    if (const auto warning = watch->check(lease->model->engine->stats()))
      log_warning("[serve] {}", *warning);
  }
}

void run(ServeFlags flags) {
  RequestDefaults& defaults = flags.models.defaults;
  const auto arguments = nlohmann::json::parse(defaults.template_arguments, nullptr, false);
  if (!arguments.is_object())
    throw Error(ErrorKind::kUsage, "--chat-template-args: expected a JSON object, found '{}'",
                defaults.template_arguments);
  if (!defaults.tool_parser.empty()) (void)tool_style(defaults.tool_parser);
  if (!defaults.reasoning_parser.empty()) (void)reasoning_style(defaults.reasoning_parser);
  defaults.timeout = milliseconds(flags.timeout);
  defaults.stream_interval = std::chrono::milliseconds(flags.stream_interval);
  flags.app.request_timeout = defaults.timeout;
  apply(flags.operation, flags.app);
  // Blocked in every thread that follows; this one waits for them.
  const sigset_t signals = awaited_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  allow_many_connections();
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  flags.app.workers = std::clamp(cores / 4, 2, 8);
  App app(flags.app);
  add_models(flags.models, app);

  if (flags.app.keys.empty() && is_reachable(flags.app.http.host))
    log_warning("[serve] no --api-key: whoever reaches {} may ask", flags.app.http.host);

  log_info("[serve] listening on {}, loading the model", address(flags, app.port()));
  load_default(app);
  {
    const ModelLease lease = app.models().look(app.models().default_id());
    app.set_ready();
    std::printf("ready: %s  model %s  device %s\n", address(flags, app.port()).c_str(),
                lease->model->id.c_str(), lease->model->device.c_str());
    std::fflush(stdout);
  }
  watch_speed(app);
  drain(app, flags.operation.drain_timeout);
  if (app.models().busy()) leave(0);  // a model is being loaded: that can't be interrupted
  app.stop();
}

void add_sampling_defaults(CLI::App& command, RequestDefaults& defaults) {
  command.add_option("--temp", defaults.sampling.temperature, "Default sampling temperature")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--top-p", defaults.sampling.top_p, "Default nucleus sampling probability")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--top-k", defaults.sampling.top_k, "Default count of likeliest tokens (0: all)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--min-p", defaults.sampling.min_p, "Default share of the likeliest token")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command.add_option("--max-tokens", defaults.max_tokens, "Default longest answer in tokens")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--chat-template-args", defaults.template_arguments,
                     "JSON object of template variables, such as {\"enable_thinking\": false}");
  command.add_option(
      "--tool-call-parser", defaults.tool_parser,
      "How the model writes calls, a name of docs/tools.md (default: as its template "
      "shows)");
  command.add_option("--reasoning-parser", defaults.reasoning_parser,
                     "How the model writes reasoning, likewise");
}

void add_engine_flags(CLI::App& command, ServeFlags& flags) {
  EngineOptions& engine = flags.models.engine;
  command.add_option("--decode-concurrency", engine.max_batch_sequences, "Sequences of one step")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      .add_option("--prefill-step-size", engine.prefill_step_tokens, "Prompt tokens of one step")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--max-context", engine.max_context,
                  "Longest prompt and answer together (default: the model's, or what fits)")
      ->check(CLI::PositiveNumber);
  command
      .add_option("--kv-bytes", flags.models.kv_bytes, "Memory for keys and values, such as 8GB")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true));
  add_kv_flags(command, engine.kv_quant);
  command
      .add_option("--prompt-cache-bytes", engine.prefix_cache_bytes,
                  "Of --kv-bytes, for prompts that have ended (default: all that is free)")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true));
  command
      .add_option("--max-step-ms", engine.max_step_ms,
                  "Longest step beside answers that run: prompts wait for more (0: no bound)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_speculation_flags(command, flags.models.speculation);
  command.add_option("--max-queue", engine.max_queue, "Requests that may wait; more get 429")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--stream-interval-ms", flags.stream_interval,
                  "A stream's events come no closer; faster tokens share one (0: one for each)")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  command.add_option("--timeout", flags.timeout, "Longest time of one request, seconds (0: none)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void add_accepted_flags(CLI::App& command, ServeFlags& flags) {
  const auto accept = [&](const char* flag, const char* why) {
    command.add_option_function<std::string>(
        flag, [](const std::string&) {}, std::string("Accepted as in mlx-lm; ") + why);
  };
  accept("--prompt-concurrency", "--prefill-step-size bounds the prompts of a step");
  accept("--prompt-cache-size", "the prefix cache keeps what fits into --kv-bytes");
  command.add_flag("--use-default-chat-template", flags.use_default_chat_template,
                   "Accepted as in mlx-lm; without a template: \"role: text\" lines");
}

}  // namespace

void add_serve_command(CLI::App& app) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command =
      app.add_subcommand("serve", "Answer HTTP requests as OpenAI's and Anthropic's APIs do");
  add_model_flags(*command, flags->models.model);
  command->add_option("--host", flags->app.http.host, "Address to listen on")
      ->capture_default_str();
  command->add_option("--port", flags->app.http.port, "Port to listen on (0: any free one)")
      ->capture_default_str();
  command
      ->add_option("--allowed-origins", flags->app.http.allowed_origins,
                   "Comma-separated origins of web pages that may ask, or *")
      ->capture_default_str();
  command->add_option("--chat-template", flags->models.model.chat_template,
                      "A template's text or file instead of the model's own");
  command->add_flag("!--no-webui", flags->app.webui, "No web page at /");
  add_sampling_defaults(*command, flags->models.defaults);
  add_engine_flags(*command, *flags);
  add_models_flags(*command, flags->models, flags->app);
  add_operation_flags(*command, flags->operation, flags->app);
  add_accepted_flags(*command, *flags);
  command->footer(
      "With --backend B an engine is started by its plan instead (vllm, sglang, llamacpp, …, mica "
      "too),\nby the models file, with --webui and --litellm beside it; its flags: `mica serve "
      "--backend B --help`.");
  command->callback([flags] { run(*flags); });
}

}  // namespace mica

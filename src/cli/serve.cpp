// mica serve: the OpenAI-compatible server; the flags of mlx_lm.server.
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "engine/embedder.h"
#include "server/app.h"
#include "server/speed_watch.h"

namespace mica {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kDrainTime{30};
constexpr std::chrono::seconds kSelfTestTime{300};
constexpr std::chrono::seconds kSpeedCheckTime{30};

struct ServeFlags {
  ModelFlags model;
  AppOptions app;
  RequestDefaults defaults;
  EngineOptions engine;
  uint64_t kv_bytes = 0;
  double timeout = 3600;  // seconds
  bool use_default_chat_template = false;
};

// What the loading thread makes. Destroyed after the threads of the server have ended.
struct Loaded {
  LoadedModel parts;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Embedder> embedder;
  ServedModel served;
};

void allow_many_connections() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

// The signal that came within `patience`, or 0.
int wait_for_signal(std::chrono::milliseconds patience) {
  const sigset_t set = ending_signals();
  const timespec time{patience.count() / 1000, patience.count() % 1000 * 1000000};
  return std::max(0, sigtimedwait(&set, nullptr, &time));
}

std::string without_slashes(std::string text) {
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

ServedModel served_model(const ServeFlags& flags, const LoadedModel& parts, Engine& engine) {
  const DeviceInfo device = parts.backend->info();
  ServedModel served;
  served.engine = &engine;
  served.text = parts.text.get();
  served.vocabulary = static_cast<int32_t>(parts.model->config().vocab_size);
  served.id = without_slashes(flags.model.model);
  served.aliases = {flags.model.model, parts.directory.string(),
                    std::filesystem::path(served.id).filename().string()};
  served.device = device.kind + ": " + device.name;
  served.fingerprint = "mica-" MICA_VERSION "-" + device.kind;
  served.created = static_cast<int64_t>(std::time(nullptr));
  served.defaults = flags.defaults;
  served.defaults.timeout =
      std::chrono::milliseconds(static_cast<int64_t>(std::min(flags.timeout, 1e9) * 1000));
  return served;
}

// Ready means that a token was generated: one goes through the whole engine.
void self_test(Engine& engine, const TextModel& text) {
  Request request;
  request.prompt = text.encode("Hello");
  if (request.prompt.empty()) request.prompt = {0};
  request.prompt.resize(std::min<size_t>(request.prompt.size(), 8));
  request.max_tokens = 1;
  request.use_prefix_cache = false;
  const auto events = engine.submit(std::move(request));
  const auto deadline = Clock::now() + kSelfTestTime;
  while (events && Clock::now() < deadline) {
    const auto event = events->next(std::chrono::seconds(1));
    if (!event || event->kind == Event::Kind::kStarted) continue;
    if (event->kind == Event::Kind::kToken) return;
    throw Error(ErrorKind::kDevice, "[serve] the self-test generated no token: {}",
                event->error.empty() ? name(event->reason) : event->error);
  }
  throw Error(ErrorKind::kDevice, "[serve] the self-test generated no token within {} seconds",
              kSelfTestTime.count());
}

// The same for an encoder: a text goes through it.
void self_test(Embedder& embedder, const TextModel& text) {
  const std::vector<int32_t> tokens = text.tokenizer().encode("Hello", /*add_special_tokens=*/true);
  embedder.embed({{tokens.empty() ? std::vector<int32_t>{0} : tokens}});
  log_info("[serve] embeddings alone: vectors of {}, pooled from the {}, up to {} tokens a text",
           embedder.size(),
           embedder.pooling().pooling == Pooling::kMean ? "mean of all tokens"
                                                        : name(embedder.pooling().pooling),
           embedder.max_tokens());
}

std::unique_ptr<Loaded> load_all(const ServeFlags& flags) {
  auto loaded = std::make_unique<Loaded>();
  loaded->parts = load(flags.model);
  EngineOptions options = flags.engine;
  options.kv_bytes = flags.kv_bytes;
  loaded->engine = std::make_unique<Engine>(*loaded->parts.backend, *loaded->parts.model, options);
  const bool encoder = !loaded->parts.model->generates();
  loaded->embedder = std::make_unique<Embedder>(
      *loaded->parts.backend, *loaded->parts.model, *loaded->engine,
      EmbedderOptions{.pooling = load_pooling(loaded->parts.directory, encoder),
                      .piece_tokens = options.prefill_step_tokens});
  if (encoder)
    self_test(*loaded->embedder, *loaded->parts.text);
  else
    self_test(*loaded->engine, *loaded->parts.text);
  loaded->served = served_model(flags, loaded->parts, *loaded->engine);
  loaded->served.embedder = loaded->embedder.get();
  return loaded;
}

// Loads beside the server, which answers 503 meanwhile.
class Loader {
 public:
  explicit Loader(const ServeFlags& flags) {
    thread_ = std::thread([this, &flags] {
      try {
        loaded_ = load_all(flags);
      } catch (...) {
        failure_ = std::current_exception();
      }
      done_ = true;
    });
  }
  bool done() const { return done_; }
  // Once done: the model, or the exception.
  std::unique_ptr<Loaded> take() {
    thread_.join();
    if (failure_) std::rethrow_exception(failure_);
    return std::move(loaded_);
  }

 private:
  std::atomic<bool> done_{false};
  std::unique_ptr<Loaded> loaded_;
  std::exception_ptr failure_;
  std::thread thread_;
};

// A signal while other threads are at work that can't be interrupted.
[[noreturn]] void leave(int status) {
  std::fflush(nullptr);
  std::_Exit(status);
}

// Running requests get their time; a second SIGINT ends at once.
void drain(App& app) {
  app.drain();
  log_info("[serve] ending: {} requests are running", app.active_requests());
  const auto deadline = Clock::now() + kDrainTime;
  while (app.active_requests() > 0 && Clock::now() < deadline)
    if (wait_for_signal(std::chrono::milliseconds(50)) == SIGINT) leave(130);
  if (app.active_requests() > 0)
    log_warning("[serve] {} requests are cut off after {} seconds", app.active_requests(),
                kDrainTime.count());
}

std::string address(const ServeFlags& flags, uint16_t port) {
  const std::string& host = flags.app.http.host;
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? fmt::format("http://[{}]:{}", host, port) : fmt::format("http://{}:{}", host, port);
}

void run(ServeFlags flags) {
  const auto arguments = nlohmann::json::parse(flags.defaults.template_arguments, nullptr, false);
  if (!arguments.is_object())
    throw Error(ErrorKind::kUsage, "--chat-template-args: expected a JSON object, found '{}'",
                flags.defaults.template_arguments);
  // Blocked in every thread that follows; this one waits for them.
  const sigset_t signals = ending_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  allow_many_connections();
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  flags.app.workers = std::clamp(cores / 4, 2, 8);
  App app(flags.app);  // outlives the engine

  Loader loader(flags);
  log_info("[serve] listening on {}, loading the model", address(flags, app.port()));
  while (!loader.done())
    if (wait_for_signal(std::chrono::milliseconds(100)) != 0) leave(0);
  const std::unique_ptr<Loaded> loaded = loader.take();
  app.set_ready(loaded->served);
  std::printf("ready: %s  model %s  device %s\n", address(flags, app.port()).c_str(),
              loaded->served.id.c_str(), loaded->served.device.c_str());
  std::fflush(stdout);
  SpeedWatch watch(loaded->parts.bandwidth, loaded->parts.model->config().num_hidden_layers);
  while (wait_for_signal(kSpeedCheckTime) == 0)
    if (const auto warning = watch.check(loaded->engine->stats()))
      log_warning("[serve] {}", *warning);
  drain(app);
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
}

void add_engine_flags(CLI::App& command, ServeFlags& flags) {
  EngineOptions& engine = flags.engine;
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
  command.add_option("--kv-bytes", flags.kv_bytes, "Memory for keys and values, such as 8GB")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true));
  command.add_option("--max-queue", engine.max_queue, "Requests that may wait; more get 429")
      ->check(CLI::PositiveNumber)
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
  accept("--prompt-cache-bytes", "the prefix cache keeps what fits into --kv-bytes");
  command.add_flag("--use-default-chat-template", flags.use_default_chat_template,
                   "Accepted as in mlx-lm; without a template: \"role: text\" lines");
  add_missing_flag(command, "--adapter-path", "serving a LoRA adapter");
  add_missing_flag(command, "--draft-model", "speculative decoding");
  add_missing_flag(command, "--num-draft-tokens", "speculative decoding");
}

}  // namespace

void add_serve_command(CLI::App& app) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command = app.add_subcommand("serve", "Answer HTTP requests as OpenAI's API does");
  add_model_flags(*command, flags->model);
  command->add_option("--host", flags->app.http.host, "Address to listen on")
      ->capture_default_str();
  command->add_option("--port", flags->app.http.port, "Port to listen on (0: any free one)")
      ->capture_default_str();
  command
      ->add_option("--allowed-origins", flags->app.http.allowed_origins,
                   "Comma-separated origins of web pages that may ask, or *")
      ->capture_default_str();
  command->add_option("--chat-template", flags->model.chat_template,
                      "A template's text or file instead of the model's own");
  add_sampling_defaults(*command, flags->defaults);
  add_engine_flags(*command, *flags);
  add_accepted_flags(*command, *flags);
  command->callback([flags] { run(*flags); });
}

}  // namespace mica

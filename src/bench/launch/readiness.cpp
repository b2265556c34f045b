// From the open port to the first token: each phase with its time, its deadline and its own words.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/client/url.h"
#include "bench/launch/engine_state.h"
#include "bench/launch/http_probe.h"

namespace mica {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr double kProbeSeconds = 5;      // of one question
constexpr double kAttachSeconds = 10;    // until a running server must have answered
constexpr double kNoListSeconds = 5;     // for which a list of models may be something else
constexpr double kNoHttpSeconds = 3;     // for which a port may speak something else
constexpr double kLastLooksSeconds = 2;  // after a broken request: has the engine died?
constexpr size_t kNamesShown = 8;

// Of a list of models in OpenAI's form; nothing for anything else.
std::optional<std::vector<std::string>> served_names(const std::string& body) {
  std::vector<std::string> names;
  const json value = json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object() || !value.contains("data") || !value["data"].is_array())
    return std::nullopt;
  for (const json& model : value["data"]) {
    if (!model.is_object()) continue;
    if (model.contains("id") && model["id"].is_string()) names.push_back(model["id"]);
    if (!model.contains("aliases") || !model["aliases"].is_array()) continue;
    for (const json& alias : model["aliases"])
      if (alias.is_string()) names.push_back(alias);
  }
  return names;
}

std::string list_text(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kNamesShown); ++i)
    text += fmt::format("{}'{}'", i == 0 ? "" : ", ", names[i]);
  if (names.size() > kNamesShown) text += fmt::format(" and {} more", names.size() - kNamesShown);
  return text.empty() ? "nothing" : text;
}

// Who it might be that answers instead.
std::string stranger(const ProbeAnswer& answer) {
  static constexpr std::pair<const char*, const char*> kSigns[] = {
      {"\"owned_by\":\"vllm\"", "vLLM"},
      {"\"owned_by\":\"sglang\"", "SGLang"},
      {"\"llamacpp\"", "llama.cpp"},
      {"\"tensorrt_llm\"", "TensorRT-LLM"},
      {"\"tabbyAPI\"", "TabbyAPI"},
      {"Open WebUI", "Open WebUI"},
      {"LiteLLM", "LiteLLM"},
      {"Ollama", "Ollama"},
      {"\"mica\"", "Mica"},
      {"Jupyter", "Jupyter"}};
  std::string squeezed = answer.body;
  squeezed.erase(std::remove(squeezed.begin(), squeezed.end(), ' '), squeezed.end());
  for (const auto& [sign, name] : kSigns)
    if (squeezed.find(sign) != std::string::npos || answer.body.find(sign) != std::string::npos)
      return name;
  return answer.server.empty() ? "an unknown service" : "a service '" + answer.server + "'";
}

std::string words_of(const ProbeAnswer& answer) {
  if (answer.status == 0) return answer.failure.empty() ? "no answer" : answer.failure;
  constexpr size_t kShown = 200;
  return fmt::format("status {} {}", answer.status, answer.body.substr(0, kShown));
}

class Readiness {
 public:
  explicit Readiness(EngineState& engine)
      : engine_(engine), plan_(engine.plan()), url_(parse_url(plan_.url)) {}

  void run() {
    wait_for_port();
    wait_for_identity();
    if (!plan_.probes.models.empty() || !plan_.probes.health.empty()) wait_for_model();
    ask_version();
    if (engine_.options().first_token) wait_for_token();
  }

 private:
  void wait_for_port();
  void wait_for_identity();
  void wait_for_model();
  void wait_for_token();
  void ask_version();
  void judge_token(const RequestSample& record, double begin);
  [[noreturn]] void token_deadline(double begin);

  ProbeAnswer ask(const std::string& path) const {
    return probe_get(plan_.url + path, kProbeSeconds, engine_.options().key);
  }
  bool is_identified(const ProbeAnswer& answer) const {
    return answer.body.find(plan_.probes.identity) != std::string::npos;
  }
  [[noreturn]] void wrong_service(const ProbeAnswer& answer);
  bool speaks_no_http(const ProbeAnswer& answer);
  void check_key(const ProbeAnswer& answer);
  // Calls `step` until it is true; afterwards the phase's time is kept. `late` throws.
  template <typename Step, typename Late>
  void phase(LaunchPhase phase, double seconds, const char* waits_for, Step step, Late late);
  [[noreturn]] void fail(LaunchProblem problem, const std::string& what,
                         const std::string& advice = "");
  // Of a failure that came instead of an answer: the engine's death, should it be the reason.
  void look_for_death(double seconds);

  EngineState& engine_;
  const LaunchPlan& plan_;
  const Url url_;
  LaunchPhase phase_ = LaunchPhase::kPort;
  double left_of_ready_ = 0;  // seconds
  double strange_since_ = 0;  // since when answers are no HTTP
};

void Readiness::fail(LaunchProblem problem, const std::string& what, const std::string& advice) {
  LaunchFailure failure = engine_.failure(problem, phase_, what);
  if (failure.cause.empty()) failure.advice = advice;
  const bool late =
      problem == LaunchProblem::kPortDeadline || problem == LaunchProblem::kHealthDeadline;
  if (late && !engine_.attached())
    failure.notes.push_back("meanwhile: " +
                            describe(engine_.verdict(engine_.work_began(), /*generated=*/false)));
  throw LaunchError(std::move(failure));
}

void Readiness::look_for_death(double seconds) {
  const double until = steady_seconds() + seconds;
  do {
    if (auto death = engine_.death(phase_)) throw LaunchError(std::move(*death));
    if (engine_.attached()) return;
    engine_.pause(milliseconds(50));
  } while (steady_seconds() < until);
}

template <typename Step, typename Late>
void Readiness::phase(LaunchPhase phase, double seconds, const char* waits_for, Step step,
                      Late late) {
  phase_ = phase;
  const double begin = steady_seconds();
  const auto interval = milliseconds(
      std::max<int64_t>(1, static_cast<int64_t>(engine_.options().probe_interval * 1000)));
  for (;;) {
    if (auto death = engine_.death(phase)) throw LaunchError(std::move(*death));
    engine_.check_interrupt(phase);
    if (step()) break;
    if (steady_seconds() - begin >= seconds) late();
    engine_.beat(waits_for);
    engine_.pause(interval);
  }
  const bool first = phase == LaunchPhase::kPort && !engine_.attached();
  engine_.phases.push_back({phase, steady_seconds() - (first ? engine_.started() : begin)});
}

void Readiness::wait_for_port() {
  const auto deadline = static_cast<double>(plan_.deadlines.start.count());
  const double seconds = engine_.attached() ? std::min(deadline, kAttachSeconds) : deadline;
  phase(
      LaunchPhase::kPort, seconds, "its port",
      [&] { return is_port_open(url_.host, url_.port, 1); },
      [&] {
        if (engine_.attached())
          fail(LaunchProblem::kUnreachable,
               fmt::format("nobody answers at {}; Mica starts nothing there", plan_.url),
               "start the server, or look at host and port");
        fail(LaunchProblem::kPortDeadline,
             fmt::format("{} runs and has not opened port {} in {:.0f} s", plan_.backend, url_.port,
                         seconds),
             "give it more time (deadlines), or see what it does in its log");
      });
  left_of_ready_ = static_cast<double>(plan_.deadlines.ready.count());
  if (engine_.attached()) left_of_ready_ = std::min(left_of_ready_, kAttachSeconds);
}

// Bytes came, and they are no HTTP; a server that is just beginning closes or says nothing.
bool Readiness::speaks_no_http(const ProbeAnswer& answer) {
  const bool strange = answer.status == 0 && answer.connected && answer.no_http;
  if (!strange) strange_since_ = 0;
  if (strange && strange_since_ == 0) strange_since_ = steady_seconds();
  return strange && steady_seconds() - strange_since_ >= kNoHttpSeconds;
}

void Readiness::check_key(const ProbeAnswer& answer) {
  if (answer.status == 401 || answer.status == 403)
    fail(LaunchProblem::kUnauthorized,
         fmt::format("{} refuses the key: {}", plan_.url, words_of(answer)),
         "give the server's key");
}

void Readiness::wrong_service(const ProbeAnswer& answer) {
  fail(LaunchProblem::kWrongService,
       fmt::format("{} is answered by {}, not by {} (looked for {})", plan_.url, stranger(answer),
                   plan_.backend, plan_.probes.identity),
       engine_.attached() ? "name the engine that answers there by --backend, or another --url"
                          : "another server has the port: choose another --port");
}

void Readiness::wait_for_identity() {
  const PlanProbes& probes = plan_.probes;
  std::vector<std::string> paths;
  for (const std::string& path : {probes.models, probes.health})
    if (!path.empty()) paths.push_back(path);
  if (paths.empty()) paths.emplace_back("/");
  ProbeAnswer last;
  const auto step = [&] {
    bool settled = true, content = false;
    for (const std::string& path : paths) {
      last = ask(path);
      check_key(last);
      if (speaks_no_http(last))
        fail(LaunchProblem::kNoHttp,
             fmt::format("port {} is open and does not speak HTTP: {}", url_.port, words_of(last)),
             "look at which service listens there");
      if (last.ok() && is_identified(last)) return true;
      if (path == probes.models && last.ok()) {
        // A list without models says nothing yet: the next phase looks again.
        const auto names = served_names(last.body);
        if (names && names->empty()) return true;
        wrong_service(last);
      }
      settled &= last.status > 0 && last.status < 500;
      content |= last.ok();
    }
    if (settled && content) wrong_service(last);
    return false;
  };
  const double begin = steady_seconds();
  phase(LaunchPhase::kIdentity, left_of_ready_, "an answer", step, [&] {
    const bool strangers = last.status > 0 && last.status < 500;
    fail(strangers ? LaunchProblem::kWrongService : LaunchProblem::kHealthDeadline,
         fmt::format("the port of {} is open, and after {:.0f} s the answer is still: {}",
                     plan_.backend, left_of_ready_, words_of(last)));
  });
  left_of_ready_ = std::max(0.0, left_of_ready_ - (steady_seconds() - begin));
}

void Readiness::wait_for_model() {
  const PlanProbes& probes = plan_.probes;
  const std::string& wanted = plan_.served_name.value;
  ProbeAnswer health, list;
  std::vector<std::string> names;
  double lacks_since = 0, unreadable_since = 0;
  const auto missing = [&] {
    fail(LaunchProblem::kModelMissing,
         fmt::format("{} serves {}, not '{}' ({})", plan_.url, list_text(names), wanted,
                     plan_.served_name.origin.text),
         "set the served name to one of these, or start the server with the wanted one");
  };
  const auto step = [&] {
    health = probes.health.empty() ? ProbeAnswer{.status = 200} : ask(probes.health);
    check_key(health);
    if (!health.ok()) return false;
    if (probes.models.empty()) return true;
    list = ask(probes.models);
    const auto served = list.ok() ? served_names(list.body) : std::nullopt;
    names = served.value_or(std::vector<std::string>());
    // Of mlx-lm without a folder of the hub's cache: 200 and nothing.
    if (!list.ok() || served)
      unreadable_since = 0;
    else if (unreadable_since == 0)
      unreadable_since = steady_seconds();
    if (unreadable_since > 0 && steady_seconds() - unreadable_since >= kNoListSeconds) {
      engine_.warnings.push_back(
          fmt::format("{} is no list of models ({}): the first token alone "
                      "shows that it serves '{}'",
                      probes.models, words_of(list), wanted));
      return true;
    }
    if (!names.empty() && !is_identified(list) && !is_identified(health)) wrong_service(list);
    if (!names.empty() &&
        (wanted.empty() || std::find(names.begin(), names.end(), wanted) != names.end()))
      return true;
    if (names.empty()) lacks_since = 0;
    if (!names.empty() && lacks_since == 0) lacks_since = steady_seconds();
    if (lacks_since > 0 && steady_seconds() - lacks_since >= engine_.options().model_patience)
      missing();
    return false;
  };
  phase(LaunchPhase::kModel, left_of_ready_, "its model", step, [&] {
    if (health.ok() && list.ok()) missing();
    fail(LaunchProblem::kHealthDeadline,
         fmt::format("{} answers and is not ready: {}", plan_.backend,
                     words_of(health.ok() ? list : health)));
  });
}

// "version" of a JSON object, or what stands for it; a short text as it is.
std::string version_in(const std::string& body) {
  const json value = json::parse(body, nullptr, /*allow_exceptions=*/false);
  for (const char* key : {"version", "build_info", "engine_version", "server_version"})
    if (value.is_object() && value.contains(key) && value[key].is_string()) return value[key];
  if (value.is_string()) return value;
  constexpr size_t kLongest = 64;
  const bool plain =
      value.is_discarded() && body.size() <= kLongest && body.find('<') == std::string::npos;
  return plain ? body.substr(0, body.find_first_of("\r\n")) : "";
}

// Images add what they are built for: v0.5.16-cu130.
bool same_version(std::string wanted, const std::string& found) {
  if (wanted.starts_with('v')) wanted.erase(0, 1);
  wanted.resize(std::min(wanted.find('-'), wanted.size()));
  return found.find(wanted) != std::string::npos;
}

void Readiness::ask_version() {
  if (plan_.probes.version.empty()) return;
  const ProbeAnswer answer = ask(plan_.probes.version);
  if (answer.ok()) engine_.version = version_in(answer.body);
  const std::string& wanted = plan_.backend_version.value;
  if (wanted.empty() || wanted == "latest" || engine_.version.empty()) return;
  if (!same_version(wanted, engine_.version))
    engine_.other_version =
        fmt::format("{} says that it is version {}; wanted was {} ({})", plan_.backend,
                    engine_.version, wanted, plan_.backend_version.origin.text);
  if (!engine_.other_version.empty()) engine_.warnings.push_back(engine_.other_version);
}

void Readiness::token_deadline(double begin) {
  const GpuVerdict verdict = engine_.verdict(begin, /*generated=*/false);
  LaunchFailure failure =
      engine_.failure(LaunchProblem::kFirstTokenDeadline, phase_,
                      fmt::format("{} says that it is ready, and no token came in {} s",
                                  plan_.backend, plan_.deadlines.first_token.count()));
  failure.notes.push_back(describe(verdict));
  if (verdict.kind == GpuVerdictKind::kNotOnGpu) failure.kind = ErrorKind::kDevice;
  throw LaunchError(std::move(failure));
}

void Readiness::judge_token(const RequestSample& record, double begin) {
  if (record.ok() && record.output_tokens() > 0) return;
  look_for_death(kLastLooksSeconds);
  if (record.status == RequestStatus::kTimeout) token_deadline(begin);
  if (record.ok())
    fail(LaunchProblem::kFirstTokenRefused,
         fmt::format("{} answered the first request with nothing", plan_.backend));
  fail(LaunchProblem::kFirstTokenRefused,
       fmt::format("{} says that it is ready, and the first request failed: {}{} {}", plan_.backend,
                   name(record.status),
                   record.http_status > 0 ? fmt::format(" {}", record.http_status) : "",
                   record.error));
}

void Readiness::wait_for_token() {
  const double begin = steady_seconds();
  engine_.begin_work();
  const auto deadline = plan_.deadlines.first_token;
  // Some patience beyond, for a request that keeps its deadline itself.
  const double limit = static_cast<double>(deadline.count()) + 1;
  struct Shared {
    std::mutex mutex;
    std::optional<RequestSample> record;
    std::exception_ptr error;
  };
  const auto shared = std::make_shared<Shared>();
  std::jthread request([shared, this, deadline](std::stop_token stop) {
    try {
      RequestSample record = engine_.options().first_token(plan_, deadline, stop);
      const std::lock_guard lock(shared->mutex);
      shared->record = std::move(record);
    } catch (...) {
      const std::lock_guard lock(shared->mutex);
      shared->error = std::current_exception();
    }
  });
  phase(
      LaunchPhase::kFirstToken, limit, "the first token",
      [&] {
        const std::lock_guard lock(shared->mutex);
        if (shared->error) std::rethrow_exception(shared->error);
        return shared->record.has_value();
      },
      [&] { token_deadline(begin); });
  engine_.first_token = shared->record;
  judge_token(*shared->record, begin);
}

}  // namespace

void prove(EngineState& engine) {
  Readiness(engine).run();
}

}  // namespace mica

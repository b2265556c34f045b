#include "server/app.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "server/access_log.h"
#include "server/app_route.h"
#include "server/http_text.h"
#include "server/openai_endpoint.h"
#include "server/requested_model.h"
#include "server/server_error.h"
#include "server/web_files.h"

namespace mica {

const App::Route App::kRoutes[] = {
    {"GET", "/health", false, &App::health, Access::kPublic},
    {"GET", "/v1/health", false, &App::health, Access::kPublic},
    {"GET", "/version", false, &App::version, Access::kPublic},
    {"GET", "/metrics", false, &App::show_metrics, Access::kMetrics},
    {"GET", "/v1/models", false, &App::list_models, Access::kPublic},
    {"GET", "/models", false, &App::list_models, Access::kPublic},
    {"GET", "/v1/models/*", false, &App::show_model, Access::kPublic},
    {"GET", "/models/*", false, &App::show_model, Access::kPublic},
    {"POST", "/reset_prefix_cache", false, &App::reset_prefix_cache},
    {"POST", "/v1/models/load", false, &App::load_model},
    {"POST", "/models/load", false, &App::load_model},
    {"POST", "/v1/models/unload", false, &App::unload_model},
    {"POST", "/models/unload", false, &App::unload_model},
    {"POST", "/v1/load_lora_adapter", true, &App::load_adapter},
    {"POST", "/v1/unload_lora_adapter", true, &App::unload_adapter},
    {"POST", "/v1/chat/completions", true, &App::chat_completions},
    {"POST", "/chat/completions", true, &App::chat_completions},
    {"POST", "/v1/completions", true, &App::completions},
    {"POST", "/completions", true, &App::completions},
    {"GET", "/", false, &App::web_file, Access::kPublic},
    {"GET", "/web/*", false, &App::web_file, Access::kPublic},
    {"POST", "/v1/chat/completions/input_tokens", true, &App::count_chat},
    {"POST", "/v1/messages", true, &App::messages},
    {"POST", "/v1/messages/count_tokens", true, &App::count_messages},
    {"POST", "/v1/responses", true, &App::responses},
    {"POST", "/responses", true, &App::responses},
    {"POST", "/v1/responses/input_tokens", true, &App::count_responses},
    {"GET", "/v1/responses/*", false, &App::show_response},
    {"DELETE", "/v1/responses/*", false, &App::delete_response},
    {"POST", "/tokenize", true, &App::tokenize_text},
    {"POST", "/v1/tokenize", true, &App::tokenize_text},
    {"POST", "/detokenize", true, &App::detokenize_text},
    {"POST", "/v1/detokenize", true, &App::detokenize_text},
    {"POST", "/apply-template", true, &App::template_text},
    {"POST", "/v1/apply-template", true, &App::template_text},
    {"POST", "/v1/embeddings", true, &App::embeddings},
    {"POST", "/embeddings", true, &App::embeddings},
};

namespace {

bool matches(std::string_view pattern, std::string_view path) {
  if (!pattern.ends_with('*')) return pattern == path;
  pattern.remove_suffix(1);
  return path.size() > pattern.size() && path.starts_with(pattern);
}

double seconds(std::chrono::milliseconds time) {
  return std::chrono::duration<double>(time).count();
}

ApiError stuck_error(const Watchdog& watchdog) {
  return {503,
          fmt::format("the engine has taken no step for {} seconds", seconds(watchdog.patience())),
          "", "engine_stuck", 10};
}

}  // namespace

App::App(AppOptions options)
    : options_(std::move(options)),
      models_({.budget_bytes = options_.model_budget,
               .max_loaded = options_.max_models,
               .watchdog_timeout = options_.watchdog_timeout,
               .patience = options_.model_patience}),
      http_([this] {
        HttpServerOptions http = options_.http;
        http.on_request_end = [this](const RequestRecord& record) { request_ended(record); };
        return http;
      }()),
      workers_(std::max(1, options_.workers)) {
  http_.every(std::chrono::seconds(1), [this] { look_at_engines(); });
  http_.start([this](HttpRequest request, std::shared_ptr<Exchange> exchange) {
    handle(std::move(request), std::move(exchange));
  });
}

App::~App() {
  stop();
}

void App::set_ready(const ServedModel& model) {
  models_.add_loaded(model);
  set_ready();
}

void App::set_failed(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  failure_ = reason;
}

void App::drain() {
  draining_ = true;
  http_.drain();
}

void App::abort_requests() {
  http_.abort_requests({503, "the server is ending", "", "shutting_down", 1});
}

void App::stop() {
  drain();
  models_.refuse_waiting();
  http_.stop();
  workers_.stop();
  side_work_.stop();
  models_.stop();
}

void App::request_ended(const RequestRecord& record) {
  counters_.add(record);
  if (!options_.access_log) return;
  const AccessLine line = access_line(record);
  log_line(LogLevel::kInfo, line.text, line.fields);
}

void App::look_at_engines() {
  std::vector<std::pair<std::string, ApiError>> stuck;
  models_.visit([&](ModelInstance& instance) {
    const EngineStats stats = instance.model->engine->stats();
    instance.decode.add(stats);
    const Watchdog::Change change =
        instance.watchdog.update(stats, instance.model->engine->heartbeat());
    if (change == Watchdog::Change::kStuck)
      log_error(
          "[server] {}: the engine has taken no step for {} s with {} requests running and {} "
          "waiting: they are ended; is the device still there? `mica doctor` tells more",
          instance.model->id, seconds(instance.watchdog.patience()), stats.running, stats.waiting);
    if (change == Watchdog::Change::kMovesAgain)
      log_warning("[server] {}: the engine moves again", instance.model->id);
    // Again and again: some were on their way to the engine.
    if (instance.watchdog.stuck())
      stuck.emplace_back(instance.model->id, stuck_error(instance.watchdog));
  });
  for (const auto& [model, error] : stuck) http_.abort_requests(error, model);
}

void App::handle(HttpRequest request, std::shared_ptr<Exchange> exchange) {
  if (request.method == "OPTIONS") return exchange->respond(preflight_response());
  const std::string_view asked = request.method;
  const std::string_view method = asked == "HEAD" ? std::string_view("GET") : asked;
  const Route* other = nullptr;
  for (const Route& route : kRoutes) {
    if (!matches(route.path, request.path)) continue;
    if (route.method == method) return dispatch(route, std::move(request), std::move(exchange));
    other = &route;
  }
  if (!other)
    return exchange->respond(error_response({404, "there is no " + request.path.substr(0, 200)}));
  HttpResponse response = error_response(
      {405, fmt::format("{} takes {}, not {}", request.path, other->method, request.method)});
  response.headers.emplace_back("Allow", fmt::format("{}, OPTIONS", other->method));
  exchange->respond(std::move(response));
}

bool App::may_ask(const Route& route, const HttpRequest& request) const {
  if (options_.keys.empty() || route.access == Access::kPublic) return true;
  if (route.access == Access::kMetrics && options_.metrics_public) return true;
  return options_.keys.allow(request);
}

void App::dispatch(const Route& route, HttpRequest request, std::shared_ptr<Exchange> exchange) {
  exchange->record().route = route.path.data();
  if (!may_ask(route, request)) {
    HttpResponse response = dialect_error(
        request.path,
        {401, "a key is needed: Authorization: Bearer KEY, or x-api-key", "", "invalid_api_key"});
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return exchange->respond(std::move(response));
  }
  const std::string_view encoding = request.header("content-encoding");
  if (!encoding.empty() && encoding != "identity")
    return exchange->respond(
        dialect_error(request.path, {415, "compressed bodies are not supported"}));
  if (!route.on_worker) {
    guarded(request.path, exchange, [&] { (this->*route.handler)(request, exchange); });
    return;
  }
  // What is refused is refused here; what passes is accepted and runs also while the server ends.
  try {
    check_ready();
  } catch (...) {
    return exchange->respond(dialect_error(request.path, current_error()));
  }
  choose_model(route, std::move(request), std::move(exchange));
}

std::string App::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void App::check_ready() const {
  if (draining_) throw RequestError(ApiError{503, "the server is ending", "", "shutting_down", 1});
  if (ready_) return;
  const std::string reason = failure();
  if (!reason.empty()) throw RequestError(ApiError{503, reason, "", "model_failed"});
  throw RequestError(ApiError{503, "the model is still loading", "", "model_loading", 2});
}

const ServedModel& App::loaded_model(const HttpRequest& request) const {
  const ServedModel& model = request.use->model();
  if (!model.engine->healthy())
    throw RequestError(
        ApiError{503, "the engine has failed: " + model.engine->fault(), "", "engine_failed"});
  const Watchdog& watchdog = request.use->lease->watchdog;
  if (watchdog.stuck()) throw RequestError(stuck_error(watchdog));
  return model;
}

void send_json(const std::shared_ptr<Exchange>& exchange, std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  auto shared = std::make_shared<HttpResponse>(std::move(response));
  exchange->post([exchange, shared] { exchange->respond(std::move(*shared)); });
}

void App::web_file(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const WebFile* file = options_.webui ? find_web_file(request.path) : nullptr;
  if (!file) throw RequestError(ApiError{404, "there is no " + request.path.substr(0, 200)});
  exchange->respond(web_response(*file, request.header("if-none-match")));
}

void App::chat_completions(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel& model = loaded_model(request);
  start(chat_job(request.body, model), request, model, exchange);
}

void App::completions(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel& model = loaded_model(request);
  start(text_job(request.body, model), request, model, exchange);
}

std::chrono::milliseconds App::timeout_of(const HttpRequest& request) const {
  const std::chrono::milliseconds asked = requested_timeout(request.header("x-request-timeout"));
  std::chrono::milliseconds most = options_.request_timeout;
  if (request.use) most = request.use->model().defaults.timeout;
  return asked.count() == 0 || (most.count() > 0 && most < asked) ? most : asked;
}

std::chrono::milliseconds App::time_left(const HttpRequest& request) const {
  const std::chrono::milliseconds most = timeout_of(request), waited = request.use->waited;
  return most.count() > 0 ? std::max(most - waited, std::chrono::milliseconds(1)) : most;
}

void App::start(CompletionJob job, const HttpRequest& request, const ServedModel& model,
                const std::shared_ptr<Exchange>& exchange) {
  job.timeout = time_left(request);
  job.adapter = request.use->adapter ? request.use->adapter->id : 0;
  auto shared = std::make_shared<CompletionJob>(std::move(job));
  if (shared->prompt_logprobs) return start_scored(std::move(shared), request, exchange);
  exchange->post(
      [shared, &model, exchange] { start_completion(std::move(*shared), model, exchange); });
}

}  // namespace mica

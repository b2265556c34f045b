#include "server/app.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "server/access_log.h"
#include "server/http_text.h"
#include "server/openai_endpoint.h"
#include "server/openai_response.h"
#include "server/server_error.h"
#include "server/web_files.h"

namespace mica {

// `path` may end in "*": then it stands for all that begin so. `on_worker`: the handler takes long.
struct App::Route {
  const char* method;
  std::string_view path;
  bool on_worker;
  void (App::*handler)(const HttpRequest&, const std::shared_ptr<Exchange>&);
  Access access = Access::kWithKey;
};

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
};

namespace {

bool matches(std::string_view pattern, std::string_view path) {
  if (!pattern.ends_with('*')) return pattern == path;
  pattern.remove_suffix(1);
  return path.size() > pattern.size() && path.starts_with(pattern);
}

HttpResponse json_response(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

ApiError stuck_error(const Watchdog& watchdog) {
  return {503,
          fmt::format("the engine has taken no step for {} seconds",
                      std::chrono::duration<double>(watchdog.patience()).count()),
          "", "engine_stuck", 10};
}

// The route wrapper: whatever a handler throws becomes an answer.
template <typename Work>
void guarded(const std::string& path, const std::shared_ptr<Exchange>& exchange, Work&& work) {
  try {
    work();
  } catch (...) {
    const ApiError error = current_error();
    exchange->post([exchange, path, error] { exchange->respond(dialect_error(path, error)); });
  }
}

}  // namespace

App::App(AppOptions options)
    : options_(std::move(options)),
      watchdog_(options_.watchdog_timeout),
      http_([this] {
        HttpServerOptions http = options_.http;
        http.on_request_end = [this](const RequestRecord& record) { request_ended(record); };
        return http;
      }()),
      workers_(std::max(1, options_.workers)) {
  http_.every(std::chrono::seconds(1), [this] { look_at_engine(); });
  http_.start([this](HttpRequest request, std::shared_ptr<Exchange> exchange) {
    handle(std::move(request), std::move(exchange));
  });
}

App::~App() {
  stop();
}

void App::set_ready(const ServedModel& model) {
  model_ = &model;
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
  http_.stop();
  workers_.stop();
}

void App::request_ended(const RequestRecord& record) {
  counters_.add(record);
  if (!options_.access_log) return;
  const AccessLine line = access_line(record);
  log_line(LogLevel::kInfo, line.text, line.fields);
}

void App::look_at_engine() {
  const ServedModel* model = model_;
  if (!model) return;
  const EngineStats stats = model->engine->stats();
  decode_window_.add(stats);
  const Watchdog::Change change = watchdog_.update(stats, model->engine->heartbeat());
  const double patience = std::chrono::duration<double>(watchdog_.patience()).count();
  if (change == Watchdog::Change::kStuck)
    log_error(
        "[server] the engine has taken no step for {} s with {} requests running and {} "
        "waiting: they are ended; is the device still there? `mica doctor` tells more",
        patience, stats.running, stats.waiting);
  if (change == Watchdog::Change::kMovesAgain) log_warning("[server] the engine moves again");
  // Again and again: some were on their way to the engine.
  if (watchdog_.stuck()) http_.abort_requests(stuck_error(watchdog_));
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
  const auto handler = route.handler;
  if (!route.on_worker) {
    guarded(request.path, exchange, [&] { (this->*handler)(request, exchange); });
    return;
  }
  // What is refused is refused here; what passes is accepted and runs also while the server ends.
  try {
    (void)ready_model();
  } catch (...) {
    return exchange->respond(dialect_error(request.path, current_error()));
  }
  workers_.add([this, handler, request = std::move(request), exchange = std::move(exchange)] {
    guarded(request.path, exchange, [&] { (this->*handler)(request, exchange); });
  });
}

std::string App::failure() const {
  const ServedModel* model = model_;
  if (model) return model->engine->healthy() ? "" : model->engine->fault();
  const std::lock_guard lock(mutex_);
  return failure_;
}

const ServedModel& App::ready_model() const {
  if (draining_) throw RequestError(ApiError{503, "the server is ending", "", "shutting_down", 1});
  return loaded_model();
}

const ServedModel& App::loaded_model() const {
  const ServedModel* model = model_;
  const std::string reason = failure();
  if (!reason.empty())
    throw RequestError(ApiError{503, model ? "the engine has failed: " + reason : reason, "",
                                model ? "engine_failed" : "model_failed"});
  if (!model)
    throw RequestError(ApiError{503, "the model is still loading", "", "model_loading", 2});
  if (watchdog_.stuck()) throw RequestError(stuck_error(watchdog_));
  return *model;
}

void App::list_models(const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
  exchange->respond(json_response(200, models_json(ready_model())));
}

void App::show_model(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel& model = ready_model();
  const std::string_view folder = "/models/";
  const std::string name = request.path.substr(request.path.find(folder) + folder.size());
  if (!model.answers_to(name))
    throw RequestError(ApiError{404,
                                fmt::format("the model '{}' does not exist; this server has '{}'",
                                            name.substr(0, 200), model.id),
                                "model", "model_not_found"});
  exchange->respond(json_response(200, model_json(model)));
}

void App::web_file(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const WebFile* file = options_.webui ? find_web_file(request.path) : nullptr;
  if (!file) throw RequestError(ApiError{404, "there is no " + request.path.substr(0, 200)});
  exchange->respond(web_response(*file, request.header("if-none-match")));
}

void App::chat_completions(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel& model = loaded_model();
  start(chat_job(request.body, model), request, model, exchange);
}

void App::completions(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel& model = loaded_model();
  start(text_job(request.body, model), request, model, exchange);
}

void App::start(CompletionJob job, const HttpRequest& request, const ServedModel& model,
                const std::shared_ptr<Exchange>& exchange) {
  const std::chrono::milliseconds most = model.defaults.timeout;
  job.timeout = requested_timeout(request.header("x-request-timeout"));
  if (job.timeout.count() == 0 || (most.count() > 0 && most < job.timeout)) job.timeout = most;
  auto shared = std::make_shared<CompletionJob>(std::move(job));
  exchange->post(
      [shared, &model, exchange] { start_completion(std::move(*shared), model, exchange); });
}

}  // namespace mica

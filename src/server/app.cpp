#include "server/app.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "server/embeddings_endpoint.h"
#include "server/openai_endpoint.h"
#include "server/openai_response.h"
#include "server/server_error.h"

namespace mica {

// `path` may end in "*": then it stands for all that begin so. `on_worker`: the handler takes long.
struct App::Route {
  const char* method;
  std::string_view path;
  bool on_worker;
  void (App::*handler)(const HttpRequest&, const std::shared_ptr<Exchange>&);
};

const App::Route App::kRoutes[] = {
    {"GET", "/health", false, &App::health},
    {"GET", "/v1/models", false, &App::list_models},
    {"GET", "/models", false, &App::list_models},
    {"GET", "/v1/models/*", false, &App::show_model},
    {"GET", "/models/*", false, &App::show_model},
    {"POST", "/v1/chat/completions", true, &App::chat_completions},
    {"POST", "/chat/completions", true, &App::chat_completions},
    {"POST", "/v1/completions", true, &App::completions},
    {"POST", "/completions", true, &App::completions},
    {"POST", "/v1/embeddings", true, &App::embeddings},
    {"POST", "/embeddings", true, &App::embeddings},
};

namespace {

bool matches(std::string_view pattern, std::string_view path) {
  if (!pattern.ends_with('*')) return pattern == path;
  pattern.remove_suffix(1);
  return path.size() > pattern.size() && path.starts_with(pattern);
}

std::string json_text(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

HttpResponse json_response(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

// The route wrapper: whatever a handler throws becomes an answer.
template <typename Work>
void guarded(const std::shared_ptr<Exchange>& exchange, Work&& work) {
  try {
    work();
  } catch (...) {
    const ApiError error = current_error();
    exchange->post([exchange, error] { exchange->respond(error_response(error)); });
  }
}

}  // namespace

App::App(const AppOptions& options) : http_(options.http), workers_(std::max(1, options.workers)) {
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

void App::stop() {
  drain();
  http_.stop();
  workers_.stop();
  embedding_.stop();
}

void App::handle(HttpRequest request, std::shared_ptr<Exchange> exchange) {
  if (request.method == "OPTIONS") {
    HttpResponse response;
    response.status = 204;
    response.content_type.clear();
    return exchange->respond(std::move(response));
  }
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

void App::dispatch(const Route& route, HttpRequest request, std::shared_ptr<Exchange> exchange) {
  if (!request.content_encoding.empty() && request.content_encoding != "identity")
    return exchange->respond(error_response({415, "compressed bodies are not supported"}));
  const auto handler = route.handler;
  if (!route.on_worker) {
    guarded(exchange, [&] { (this->*handler)(request, exchange); });
    return;
  }
  workers_.add([this, handler, request = std::move(request), exchange = std::move(exchange)] {
    guarded(exchange, [&] { (this->*handler)(request, exchange); });
  });
}

const ServedModel& App::ready_model() const {
  if (draining_) throw RequestError(ApiError{503, "the server is ending", "", "shutting_down", 1});
  const ServedModel* model = model_;
  if (model) {
    if (model->engine->healthy()) return *model;
    throw RequestError(ApiError{503, "the engine has failed: " + model->engine->fault()});
  }
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) throw RequestError(ApiError{503, failure_});
  throw RequestError(ApiError{503, "the model is still loading", "", "model_loading", 2});
}

void App::health(const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel* model = model_;
  if (model && model->engine->healthy() && !draining_)
    return exchange->respond(json_response(
        200, json_text({{"status", "ok"}, {"device", model->device}, {"model", model->id}})));
  std::string failure;
  {
    const std::lock_guard lock(mutex_);
    failure = failure_;
  }
  if (model && !model->engine->healthy()) failure = model->engine->fault();
  nlohmann::ordered_json body;
  body["status"] = !failure.empty() ? "error" : draining_ ? "ending" : "loading";
  if (!failure.empty()) body["reason"] = failure;
  HttpResponse response = json_response(503, json_text(body));
  if (failure.empty()) response.headers.emplace_back("Retry-After", "2");
  exchange->respond(std::move(response));
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

void App::chat_completions(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel& model = ready_model();
  auto job = std::make_shared<CompletionJob>(chat_job(request.body, model));
  exchange->post([job, &model, exchange] { start_completion(std::move(*job), model, exchange); });
}

void App::completions(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel& model = ready_model();
  auto job = std::make_shared<CompletionJob>(text_job(request.body, model));
  exchange->post([job, &model, exchange] { start_completion(std::move(*job), model, exchange); });
}

void App::embeddings(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel& model = ready_model();
  const auto asked = std::make_shared<EmbeddingsRequest>(parse_embeddings(request.body, model));
  const auto gone = std::make_shared<std::atomic<bool>>(false);
  exchange->post([exchange, gone] { exchange->on_closed([gone] { *gone = true; }); });
  embedding_.add([asked, gone, exchange, &model] {
    guarded(exchange, [&] {
      const HttpResponse response =
          json_response(200, answer_embeddings(*asked, model, [gone] { return gone->load(); }));
      exchange->post([exchange, response] { exchange->respond(response); });
    });
  });
}

}  // namespace mica

// What the server says of itself: health, version, metrics.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/app.h"
#include "server/http_text.h"
#include "server/json_text.h"
#include "server/metrics_page.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

HttpResponse json_response(int status, const Json& json) {
  HttpResponse response;
  response.status = status;
  response.body = to_text(json);
  return response;
}

Json engine_json(const EngineStats& stats, const Heartbeat& heartbeat) {
  const std::chrono::duration<double> age = std::chrono::steady_clock::now() - heartbeat.since;
  return {{"running", stats.running},
          {"waiting", stats.waiting},
          {"steps", stats.steps},
          {"in_step", heartbeat.running},
          // Since the step that runs began, or the last one ended.
          {"last_step_age_seconds", heartbeat.step > 0 ? Json(age.count()) : Json(nullptr)}};
}

// A check that waits for its token; on the exchange's executor.
struct TokenCheck {
  std::shared_ptr<Exchange> exchange;  // shared with the connection's other work
  ModelLease lease;
  std::chrono::milliseconds patience;
  uint64_t tokens_before;

  // generated: the token came, reason is then ""; else whether others show that all is well.
  void answer(bool generated, bool ok, const std::string& reason) const {
    Json body = {{"status", ok ? "ok" : "error"},
                 {"device", lease->model->device},
                 {"model", lease->model->id},
                 {"generated", generated}};
    if (!reason.empty()) body["reason"] = reason;
    exchange->respond(json_response(ok ? 200 : 503, body));
  }
  // The token did not come: others' tokens show as well that the engine generates.
  void late(const std::string& reason) const {
    answer(false, lease->model->engine->stats().generated_tokens > tokens_before, reason);
  }
};

}  // namespace

void App::health(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const ModelLease lease = models_.look(models_.default_id());
  const ServedModel* model = lease ? lease->model.get() : nullptr;
  const bool stuck = lease && lease->watchdog.stuck();
  const std::string reason = stuck                                ? "the engine takes no steps"
                             : model && !model->engine->healthy() ? model->engine->fault()
                                                                  : failure();
  const bool ok = ready_ && reason.empty() && !draining_;
  if (ok && query_value(request.query, "generate") == "1") return generate_token(exchange);
  Json body;
  body["status"] = ok                ? "ok"
                   : stuck           ? "stuck"
                   : !reason.empty() ? "error"
                   : draining_       ? "ending"
                                     : "loading";
  if (!reason.empty()) body["reason"] = reason;
  body["version"] = MICA_VERSION;
  if (model) {
    body["device"] = model->device;
    body["model"] = model->id;
    body["engine"] = engine_json(model->engine->stats(), model->engine->heartbeat());
  } else if (ready_) {
    body["model"] = models_.default_id();
  }
  body["loaded"] = Json::array();
  for (const ModelState& state : models_.states())
    if (state.status == ModelStatus::kLoaded) body["loaded"].push_back(state.id);
  body["watchdog"] = {
      {"timeout_seconds", std::chrono::duration<double>(options_.watchdog_timeout).count()},
      {"stuck", stuck},
      {"times_stuck", lease ? lease->watchdog.times_stuck() : 0}};
  HttpResponse response = json_response(ok ? 200 : 503, body);
  if (!ok && reason.empty()) response.headers.emplace_back("Retry-After", "2");
  exchange->respond(std::move(response));
}

// By the default model or, while it is unloaded, by another.
void App::generate_token(const std::shared_ptr<Exchange>& exchange) {
  const ModelLease lease = models_.look_any();
  if (!lease)
    return exchange->respond(json_response(
        200, {{"status", "ok"}, {"generated", false}, {"reason", "no model is loaded"}}));
  const ServedModel& model = *lease->model;
  if (!model.generates)
    return exchange->respond(json_response(
        200, {{"status", "ok"}, {"generated", false}, {"reason", "the model generates no text"}}));
  const auto check = std::make_shared<TokenCheck>(
      TokenCheck{exchange, lease, options_.health_timeout, model.engine->stats().generated_tokens});
  const std::string no_token = fmt::format(
      "no token within {} seconds", std::chrono::duration<double>(options_.health_timeout).count());
  exchange->after(options_.health_timeout, [check, no_token] { check->late(no_token); });
  // Weak: who asked may be gone while the token is on its way.
  probe_.ask(lease, [weak = std::weak_ptr(check), waits = exchange](const HealthProbe::Result& r) {
    waits->post([weak, r] {
      const auto asked = weak.lock();
      if (!asked) return;
      if (r.generated) return asked->answer(true, true, "");
      // A queue that is full is no proof: a moment to see tokens of others.
      asked->exchange->after(
          std::min<std::chrono::milliseconds>(asked->patience, std::chrono::seconds(1)),
          [asked, r] { asked->late(r.reason); });
    });
  });
}

void App::version(const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
  exchange->respond(json_response(200, {{"version", MICA_VERSION}}));
}

void App::reset_prefix_cache(const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
  check_ready();
  models_.visit([](ModelInstance& instance) { instance.model->engine->reset_prefix_cache(); });
  exchange->respond(json_response(200, {{"status", "ok"}}));
}

void App::show_metrics(const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
  const std::string default_id = models_.default_id();
  const ModelLease lease = models_.look(default_id);
  const Watchdog none(options_.watchdog_timeout);
  const auto now = std::chrono::steady_clock::now();
  const Heartbeat heartbeat = lease ? lease->model->engine->heartbeat()
                                    : Heartbeat{.step = 0, .since = now, .running = false};
  HttpResponse response;
  response.content_type = kPrometheusText;
  response.body =
      metrics_page({.model_name = default_id,
                    .model = lease ? lease->model.get() : nullptr,
                    .engine = models_.engine_stats(),
                    .models = models_.counts(),
                    .answers = metrics_,
                    .http = counters_,
                    .watchdog = lease ? lease->watchdog : none,
                    .decode = lease ? lease->decode.rate() : DecodeWindow::Rate{},
                    .heartbeat_age = std::chrono::duration<double>(now - heartbeat.since).count(),
                    .in_step = heartbeat.running,
                    .connections = http_.connections(),
                    .active_requests = http_.active_requests(),
                    .refused_connections = http_.refused_connections()});
  exchange->respond(std::move(response));
}

}  // namespace mica

// What the server says of itself: health, version, metrics.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/app.h"
#include "server/http_text.h"
#include "server/metrics_page.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

HttpResponse json_response(int status, const Json& json) {
  HttpResponse response;
  response.status = status;
  response.body = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return response;
}

Json engine_json(const EngineStats& stats, const Watchdog& watchdog) {
  return {{"running", stats.running},
          {"waiting", stats.waiting},
          {"steps", stats.steps},
          {"last_step_age_seconds",
           stats.steps > 0 ? Json(watchdog.step_age().count()) : Json(nullptr)}};
}

// A check that waits for its token; on the exchange's executor.
struct TokenCheck {
  std::shared_ptr<Exchange> exchange;  // shared with the connection's other work
  const ServedModel& model;
  std::chrono::milliseconds patience;
  uint64_t tokens_before;

  void answer(bool generated, const std::string& reason) const {
    Json body = {{"status", generated ? "ok" : "error"},
                 {"device", model.device},
                 {"model", model.id},
                 {"generated", generated}};
    if (!generated) body["reason"] = reason;
    exchange->respond(json_response(generated ? 200 : 503, body));
  }
  // The token did not come: others' tokens show as well that the engine generates.
  void late(const std::string& reason) const {
    const bool generates = model.engine->stats().generated_tokens > tokens_before;
    answer(generates, reason);
  }
};

}  // namespace

void App::health(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel* model = model_;
  const std::string reason = watchdog_.stuck() ? "the engine takes no steps" : failure();
  const bool ok = model && reason.empty() && !draining_;
  if (ok && query_value(request.query, "generate") == "1") return generate_token(exchange);
  Json body;
  body["status"] = ok                  ? "ok"
                   : watchdog_.stuck() ? "stuck"
                   : !reason.empty()   ? "error"
                   : draining_         ? "ending"
                                       : "loading";
  if (!reason.empty()) body["reason"] = reason;
  body["version"] = MICA_VERSION;
  if (model) {
    body["device"] = model->device;
    body["model"] = model->id;
    body["engine"] = engine_json(model->engine->stats(), watchdog_);
  }
  body["watchdog"] = {
      {"timeout_seconds", std::chrono::duration<double>(watchdog_.patience()).count()},
      {"stuck", watchdog_.stuck()},
      {"times_stuck", watchdog_.times_stuck()}};
  HttpResponse response = json_response(ok ? 200 : 503, body);
  if (!ok && reason.empty()) response.headers.emplace_back("Retry-After", "2");
  exchange->respond(std::move(response));
}

void App::generate_token(const std::shared_ptr<Exchange>& exchange) {
  const ServedModel& model = *model_;
  const auto check = std::make_shared<TokenCheck>(
      TokenCheck{exchange, model, options_.health_timeout, model.engine->stats().generated_tokens});
  const std::string no_token = fmt::format(
      "no token within {} seconds", std::chrono::duration<double>(options_.health_timeout).count());
  exchange->after(options_.health_timeout, [check, no_token] { check->late(no_token); });
  // Weak: who asked may be gone while the token is on its way.
  probe_.ask(model, [weak = std::weak_ptr(check), waits = exchange](const HealthProbe::Result& r) {
    waits->post([weak, r] {
      const auto asked = weak.lock();
      if (!asked) return;
      if (r.generated) return asked->answer(true, "");
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

void App::show_metrics(const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel* model = model_;
  HttpResponse response;
  response.content_type = kPrometheusText;
  response.body = metrics_page({.model = model,
                                .engine = model ? model->engine->stats() : EngineStats{},
                                .answers = metrics_,
                                .http = counters_,
                                .watchdog = watchdog_,
                                .decode = decode_window_.rate(),
                                .connections = http_.connections(),
                                .active_requests = http_.active_requests(),
                                .refused_connections = http_.refused_connections()});
  exchange->respond(std::move(response));
}

}  // namespace mica

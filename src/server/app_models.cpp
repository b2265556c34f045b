// Requests find their model; the list of models, loading and unloading, adapters.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/app_route.h"
#include "server/http_text.h"
#include "server/json_fields.h"
#include "server/json_text.h"
#include "server/limits.h"
#include "server/models_page.h"
#include "server/requested_model.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

HttpResponse json_response(std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  return response;
}

HttpResponse json_response(const Json& json) {
  return json_response(to_text(json));
}

// The string that a short body has in this field.
std::string required_text(const Json& body, const char* field) {
  std::string text = Fields(body).text(field, "");
  if (text.empty()) throw RequestError(field, fmt::format("{}: it is missing", field));
  return text;
}

Json short_body(const HttpRequest& request) {
  if (request.body.size() > limits::kOrderBytes)
    throw RequestError(
        ApiError{413, fmt::format("the body is larger than {} bytes", limits::kOrderBytes)});
  return parse_json_body(request.body);
}

AdapterTable& changeable_adapters(const ServedModel& model) {
  if (!model.adapters || !model.adapters->allows_changes())
    throw RequestError(
        ApiError{403,
                 fmt::format("adapters of '{}' can't be changed: start the server with "
                             "--allow-runtime-adapters",
                             model.id),
                 "", "adapters_fixed"});
  return *model.adapters;
}

}  // namespace

// A request on its way to its model: held by the callbacks of its exchange while it waits. On the
// exchange's executor, but for `asked`, which a worker fills in before.
struct App::Parked {
  const Route& route;
  HttpRequest request;
  std::shared_ptr<Exchange> exchange;  // shared with the connection's other work
  RequestedModel asked;
  std::shared_ptr<ModelRegistry::Waiter> waiter;  // known to the registry; gone: no longer waiting
  Clock::time_point since = Clock::now();

  void end(const ApiError& error) {
    if (!waiter) return;
    waiter = nullptr;
    exchange->respond(dialect_error(request.path, error));
  }
};

void App::choose_model(const Route& route, HttpRequest request,
                       std::shared_ptr<Exchange> exchange) {
  auto parked = std::shared_ptr<Parked>(
      new Parked{.route = route, .request = std::move(request), .exchange = std::move(exchange)});
  if (!models_.has_choice()) return wait_for_model(std::move(parked));
  workers_.add([this, parked = std::move(parked)] {
    guarded(parked->request.path, parked->exchange, [&] {
      parked->asked = requested_model(parked->request.body);
      parked->exchange->post([this, parked] { wait_for_model(parked); });
    });
  });
}

void App::wait_for_model(std::shared_ptr<Parked> parked) {
  guarded(parked->request.path, parked->exchange, [&] {
    const std::string id = models_.resolve(parked->asked.model);
    parked->waiter = std::make_shared<ModelRegistry::Waiter>();
    parked->waiter->ready = [this, weak = std::weak_ptr(parked)](const ModelLease& lease,
                                                                 const ApiError& error) {
      const auto waiting = weak.lock();
      if (!waiting) return;
      waiting->exchange->post([this, waiting, lease, error] {
        if (!lease) return waiting->end(error);
        if (waiting->waiter)
          guarded(waiting->request.path, waiting->exchange, [&] { run(*waiting, lease); });
      });
    };
    if (ModelLease lease = models_.acquire(id, parked->waiter))
      return run(*parked, std::move(lease));
    Exchange& exchange = *parked->exchange;
    exchange.on_closed([parked] { parked->waiter = nullptr; });
    exchange.on_abort([parked](const ApiError& error) { parked->end(error); });
    const std::chrono::milliseconds most = timeout_of(parked->request);
    if (most.count() == 0) return;
    exchange.after(most, [parked, id] {
      parked->end({504,
                   fmt::format("the request took too long: the model '{}' is not loaded yet", id),
                   "model", "model_loading"});
    });
  });
}

void App::run(Parked& parked, ModelLease lease) {
  auto use = std::make_shared<ModelUse>();
  use->waited = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - parked.since);
  use->lease = std::move(lease);
  use->adapter = adapter_of(parked.asked, use->model());
  parked.waiter = nullptr;
  parked.exchange->record().model = use->model().id;
  parked.exchange->keep(use);
  parked.request.use = std::move(use);
  (void)loaded_model(parked.request);
  workers_.add([this, handler = parked.route.handler, request = std::move(parked.request),
                exchange = parked.exchange] {
    guarded(request.path, exchange, [&] { (this->*handler)(request, exchange); });
  });
}

void App::list_models(const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
  check_ready();
  exchange->respond(json_response(models_json(models_.states())));
}

void App::show_model(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  check_ready();
  const std::string_view folder = "/models/";
  const std::string name = request.path.substr(request.path.find(folder) + folder.size());
  exchange->respond(json_response(model_json(models_.state(name), name)));
}

void App::load_model(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  check_ready();
  const std::string id = models_.resolve(required_text(short_body(request), "model"));
  models_.load(id);
  const ModelStatus status = models_.state(id).status;
  exchange->respond(
      json_response(Json{{"success", true}, {"model", id}, {"status", {{"value", name(status)}}}}));
}

void App::unload_model(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  check_ready();
  const std::string id = models_.resolve(required_text(short_body(request), "model"));
  models_.unload(id);
  const ModelState state = models_.state(id);
  exchange->respond(json_response(Json{{"success", true},
                                       {"model", id},
                                       {"status", {{"value", name(state.status)}}},
                                       {"running_requests", state.leases}}));
}

void App::load_adapter(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel& model = loaded_model(request);
  AdapterTable& adapters = changeable_adapters(model);
  const Json body = short_body(request);
  const std::string name = required_text(body, "lora_name");
  const std::string path = required_text(body, "lora_path");
  if (model.answers_to(name) && !adapters.has(name))
    throw RequestError("lora_name", fmt::format("lora_name: '{}' is the model's name", name));
  adapters.add(name, path);
  exchange->post([exchange, id = model.id, name] {
    exchange->respond(json_response(Json{{"success", true}, {"id", name}, {"parent", id}}));
  });
}

void App::unload_adapter(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  AdapterTable& adapters = changeable_adapters(loaded_model(request));
  const std::string name = required_text(short_body(request), "lora_name");
  adapters.remove(name);
  exchange->post([exchange, name] {
    exchange->respond(json_response(Json{{"success", true}, {"id", name}}));
  });
}

}  // namespace mica

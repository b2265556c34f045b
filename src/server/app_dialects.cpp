// Handlers of the API dialects beside OpenAI's completions.
#include <nlohmann/json.hpp>

#include "server/anthropic_request.h"
#include "server/anthropic_response.h"
#include "server/app.h"
#include "server/app_route.h"
#include "server/completion.h"
#include "server/json_text.h"
#include "server/responses_request.h"
#include "server/token_endpoints.h"

namespace mica {
namespace {

// The id in "/v1/responses/ID" or, with `tail`, in "/v1/responses/ID/input_items".
std::string response_id(const std::string& path, std::string_view tail = "") {
  constexpr std::string_view kFolder = "/responses/";
  std::string id = path.substr(path.find(kFolder) + kFolder.size());
  return id.substr(0, id.size() - tail.size());
}

[[noreturn]] void no_such_response(const std::string& id) {
  throw RequestError(ApiError{404, "there is no response '" + id.substr(0, 100) + "' (any more)",
                              "id", "response_not_found"});
}

}  // namespace

HttpResponse dialect_error(std::string_view path, const ApiError& error) {
  return path.starts_with("/v1/messages") ? anthropic_error(error) : error_response(error);
}

void App::messages(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel& model = loaded_model(request);
  start(messages_job(request.body, model), request, model, exchange);
}

void App::count_messages(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const int64_t tokens = count_message_tokens(request.body, loaded_model(request));
  send_json(exchange, to_text({{"input_tokens", tokens}}));
}

void App::responses(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel& model = loaded_model(request);
  start(responses_job(request.body, model, responses_), request, model, exchange);
}

void App::count_responses(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  send_json(exchange, input_tokens_json(
                          count_response_tokens(request.body, loaded_model(request), responses_)));
}

void App::show_response(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  constexpr std::string_view kItems = "/input_items";
  const bool items = request.path.ends_with(kItems);
  const std::string id = response_id(request.path, items ? kItems : "");
  const auto found = responses_->get(id);
  if (!found) no_such_response(id);
  HttpResponse response;
  response.body = found->body;
  if (items)
    response.body = to_text({{"object", "list"},
                             {"data", nlohmann::ordered_json::parse(found->input)},
                             {"has_more", false}});
  exchange->respond(std::move(response));
}

void App::delete_response(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const std::string id = response_id(request.path);
  if (!responses_->erase(id)) no_such_response(id);
  HttpResponse response;
  response.body = to_text({{"id", id}, {"object", "response"}, {"deleted", true}});
  exchange->respond(std::move(response));
}

void App::count_chat(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  send_json(exchange, input_tokens_json(count_chat_tokens(request.body, loaded_model(request))));
}

void App::tokenize_text(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  send_json(exchange, tokenize(request.body, loaded_model(request)));
}

void App::detokenize_text(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  send_json(exchange, detokenize(request.body, loaded_model(request)));
}

void App::template_text(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  send_json(exchange, apply_template(request.body, loaded_model(request)));
}

}  // namespace mica

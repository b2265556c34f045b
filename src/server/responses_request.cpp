#include "server/responses_request.h"

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "server/chat_input.h"
#include "server/limits.h"
#include "server/openai_request.h"
#include "server/request_fields.h"
#include "server/responses_response.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

// Items of the responses before this one.
Json earlier_items(const Fields& fields, ResponseStore& store) {
  const std::string id = fields.text("previous_response_id", "");
  if (id.empty()) return Json::array();
  const auto earlier = store.get(id);
  if (!earlier)
    throw RequestError(ApiError{
        404, "previous_response_id: there is no response '" + id.substr(0, 100) + "' (any more)",
        "previous_response_id", "previous_response_not_found"});
  return Json::parse(earlier->dialogue);
}

// text.format is response_format without the inner object.
void text_fields(const Fields& fields, ChatInput& input) {
  const Json* text = fields.object("text");
  const Json* format = text ? Fields(*text).find("format") : nullptr;
  if (!format) return;
  if (!format->is_object()) wrong_value("text.format", "an object", *format);
  const std::string type = text_or_empty(*format, "type");
  if (type == "json_object") {
    input.grammar = AnswerGrammar{{.kind = GrammarSpec::Kind::kJsonObject}, "text.format"};
  } else if (type == "json_schema") {
    const auto schema = format->find("schema");
    if (schema == format->end())
      throw RequestError("text.format.schema", "text.format.schema: it is missing");
    input.grammar = schema_grammar(*schema, "text.format.schema");
  } else if (type != "text") {
    wrong_value("text.format.type", "\"text\", \"json_object\" or \"json_schema\"", type);
  }
}

ChatInput chat_input(const Fields& fields, const ServedModel& model, const Json& dialogue) {
  ChatInput input;
  input.messages = normal_messages(messages_of_items(fields.text("instructions", ""), dialogue),
                                   knows_developer(model));
  input.tool_use = responses_tool_fields(fields);
  input.template_arguments = template_arguments(fields, model);
  if (const Json* reasoning = fields.object("reasoning"))
    if (const std::string effort = Fields(*reasoning).text("effort", ""); !effort.empty())
      set_effort(input.template_arguments, "reasoning.effort", effort);
  input.thinking_budget = fields.integer("thinking_token_budget", -1, -1, INT64_MAX);
  text_fields(fields, input);
  return input;
}

Json all_items(const Json& earlier, const Json& items) {
  Json dialogue = earlier;
  for (const Json& item : items) dialogue.push_back(item);
  return dialogue;
}

void refuse(const Fields& fields) {
  if (fields.boolean("background", false))
    throw RequestError("background", "background: responses in the background are not supported");
  for (const char* name : {"conversation", "prompt"})
    if (fields.find(name))
      throw RequestError(name, std::string(name) + ": not supported; send the items in input");
}

bool wants_logprobs(const Fields& fields) {
  const Json* include = fields.find("include");
  if (!include) return false;
  if (!include->is_array()) wrong_value("include", "a list", *include);
  return std::find(include->begin(), include->end(), Json("message.output_text.logprobs")) !=
         include->end();
}

// What a response repeats of its request.
Json echo_of(const Fields& fields, const CompletionJob& job, const std::string& model) {
  const auto given = [&](const char* name, Json missing) {
    const Json* value = fields.find(name);
    return value ? *value : std::move(missing);
  };
  return {{"id", new_response_id()},
          {"object", "response"},
          {"created_at", static_cast<int64_t>(std::time(nullptr))},
          {"status", "in_progress"},
          {"background", false},
          {"error", nullptr},
          {"incomplete_details", nullptr},
          {"instructions", given("instructions", nullptr)},
          {"max_output_tokens", given("max_output_tokens", nullptr)},
          {"model", model},
          {"output", Json::array()},
          {"parallel_tool_calls", given("parallel_tool_calls", true)},
          {"previous_response_id", given("previous_response_id", nullptr)},
          {"reasoning", given("reasoning", {{"effort", nullptr}, {"summary", nullptr}})},
          {"store", given("store", true)},
          {"temperature", job.sampling.temperature},
          {"text", given("text", {{"format", {{"type", "text"}}}})},
          {"tool_choice", given("tool_choice", "auto")},
          {"tools", given("tools", Json::array())},
          {"top_logprobs", job.top_logprobs},
          {"top_p", job.sampling.top_p},
          {"truncation", given("truncation", "disabled")},
          {"usage", nullptr},
          {"user", given("user", nullptr)},
          {"metadata", given("metadata", Json::object())}};
}

}  // namespace

CompletionJob responses_job(std::string_view body, const ServedModel& model,
                            const std::shared_ptr<ResponseStore>& store) {
  const Json json = parse_json_body(body);
  const Fields fields(json);
  refuse(fields);
  CompletionJob job;
  const std::string name = model_name(fields, model);
  job.sampling = sampling_fields(fields, model);
  job.max_tokens = longest_answer(fields, {"max_output_tokens", "max_tokens"}, model);
  ending_fields(fields, model, job);
  job.stream = fields.boolean("stream", false);
  job.logprobs = wants_logprobs(fields);
  const int64_t top = fields.integer("top_logprobs", 0, 0, limits::kTopLogprobs);
  job.top_logprobs = job.logprobs ? static_cast<int32_t>(top) : 0;
  Json input = input_items(fields);
  const Json dialogue = all_items(earlier_items(fields, *store), input);
  prepare_chat(chat_input(fields, model, dialogue), model, job);
  ResponseRecord record;
  record.response = echo_of(fields, job, name);
  record.input = std::move(input);
  record.dialogue = dialogue;
  if (fields.boolean("store", true)) record.store = store;
  record.logprobs = job.logprobs;
  job.format = responses_format(std::move(record));
  return job;
}

int64_t count_response_tokens(std::string_view body, const ServedModel& model,
                              const std::shared_ptr<ResponseStore>& store) {
  const Json json = parse_json_body(body);
  const Fields fields(json);
  (void)model_name(fields, model);
  const Json dialogue = all_items(earlier_items(fields, *store), input_items(fields));
  const std::string rendered = render_chat(chat_input(fields, model, dialogue), model);
  return static_cast<int64_t>(model.text->encode_rendered(rendered).size());
}

}  // namespace mica

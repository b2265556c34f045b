#include "server/anthropic_request.h"

#include <nlohmann/json.hpp>

#include "server/anthropic_messages.h"
#include "server/anthropic_response.h"
#include "server/chat_input.h"
#include "server/request_fields.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

void thinking_fields(const Fields& fields, ChatInput& input) {
  const Json* thinking = fields.object("thinking");
  if (thinking) {
    const std::string type = Fields(*thinking).text("type", "");
    if (type != "enabled" && type != "disabled" && type != "adaptive")
      wrong_value("thinking.type", "\"enabled\", \"adaptive\" or \"disabled\"", type);
    set_thinking(input.template_arguments, type != "disabled");
    if (const Json* budget = Fields(*thinking).find("budget_tokens"))
      input.thinking_budget = whole_number("thinking.budget_tokens", *budget, 0, INT64_MAX);
    if (type == "disabled") input.thinking_budget = 0;
  }
  const Json* config = fields.object("output_config");
  if (!config) return;
  const std::string effort = Fields(*config).text("effort", "");
  if (!effort.empty()) set_effort(input.template_arguments, "output_config.effort", effort);
}

// output_config.format, before that output_format: {"type": "json_schema", "schema"}.
void format_fields(const Fields& fields, ChatInput& input) {
  const Json* format = fields.object("output_format");
  std::string place = "output_format";
  if (const Json* config = fields.object("output_config"))
    if (const Json* inner = Fields(*config).find("format")) {
      format = inner;
      place = "output_config.format";
    }
  if (!format) return;
  if (!format->is_object() || text_or_empty(*format, "type") != "json_schema" ||
      !format->contains("schema"))
    wrong_value(place, "a type \"json_schema\" with a schema", *format);
  input.grammar = schema_grammar((*format)["schema"], place + ".schema");
}

ChatInput chat_input(const Fields& fields, const ServedModel& model) {
  ChatInput input;
  input.messages = anthropic_messages(fields);
  input.tool_use = anthropic_tool_fields(fields);
  input.template_arguments = template_arguments(fields, model);
  thinking_fields(fields, input);
  format_fields(fields, input);
  // A last turn of the assistant is the beginning of the answer.
  const bool begun = input.messages.back()["role"] == "assistant";
  input.options.continue_final_message = begun;
  input.options.add_generation_prompt = !begun;
  return input;
}

}  // namespace

CompletionJob messages_job(std::string_view body, const ServedModel& model) {
  const Json json = parse_json_body(body);
  const Fields fields(json);
  CompletionJob job;
  const std::string name = model_name(fields, model);
  job.sampling = sampling_fields(fields, model);
  job.max_tokens = longest_answer(fields, {"max_tokens"}, model);
  job.stop = stop_strings(fields, "stop_sequences");
  job.stream = fields.boolean("stream", false);
  prepare_chat(chat_input(fields, model), model, job);
  job.format = anthropic_format(name);
  return job;
}

int64_t count_message_tokens(std::string_view body, const ServedModel& model) {
  const Json json = parse_json_body(body);
  const Fields fields(json);
  (void)model_name(fields, model);
  const std::string rendered = render_chat(chat_input(fields, model), model);
  return static_cast<int64_t>(model.text->encode_rendered(rendered).size());
}

}  // namespace mica

#include "server/openai_request.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/limits.h"
#include "server/request_fields.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

void stream_fields(const Fields& f, CompletionJob& job, OpenAiShape& shape) {
  job.stream = f.boolean("stream", false);
  const Json* options = f.object("stream_options");
  if (!options) return;
  try {
    shape.include_usage = Fields(*options).boolean("include_usage", false);
    shape.continuous_usage = Fields(*options).boolean("continuous_usage_stats", false);
  } catch (const RequestError& error) {
    throw RequestError("stream_options." + error.error().param,
                       "stream_options." + error.error().message);
  }
}

// Fields of other servers that change an answer in a way that this one does not know.
void refuse(const Fields& f) {
  if (f.boolean("use_beam_search", false))
    throw RequestError("use_beam_search", "use_beam_search: beam search is not supported");
}

// vLLM's.
void prompt_logprobs_field(const Fields& f, const ServedModel& model, CompletionJob& job,
                           OpenAiShape& shape) {
  const Json* value = f.find("prompt_logprobs");
  if (!value || *value == false) return;
  if (job.stream) throw RequestError("prompt_logprobs", "prompt_logprobs: not in a stream");
  shape.prompt_logprobs =
      static_cast<int32_t>(whole_number("prompt_logprobs", *value, 0, limits::kTopLogprobs));
  score_prompts("prompt_logprobs", *shape.prompt_logprobs, model, job);
}

void thinking_fields(const Fields& f, ChatInput& input) {
  if (const Json* effort = f.find("reasoning_effort")) {
    if (!effort->is_string()) wrong_value("reasoning_effort", "a string", *effort);
    set_effort(input.template_arguments, "reasoning_effort", effort->get<std::string>());
  }
  for (const char* name : {"thinking_token_budget", "reasoning_budget", "reasoning_budget_tokens",
                           "thinking_budget_tokens"})
    input.thinking_budget = f.integer(name, input.thinking_budget, -1, INT64_MAX);
  if (input.thinking_budget == 0) set_thinking(input.template_arguments, false);
  input.show_reasoning = f.boolean("include_reasoning", true);
  const std::string format = f.text("reasoning_format", "auto");
  input.parse_reasoning = format != "none" && f.boolean("separate_reasoning", true);
  if (format != "none" && format != "auto" && format != "deepseek" && format != "deepseek-legacy")
    wrong_value("reasoning_format", "\"auto\", \"deepseek\" or \"none\"", format);
}

}  // namespace

void common_fields(const Fields& f, const ServedModel& model, CompletionJob& job,
                   OpenAiShape& shape) {
  shape.model = model_name(f, model);
  job.sampling = sampling_fields(f, model);
  job.max_tokens = longest_answer(f, {"max_completion_tokens", "max_tokens", "n_predict"}, model);
  job.choices = static_cast<int32_t>(f.integer("n", 1, 1, limits::kChoicesPerPrompt));
  job.best_of = job.choices;
  stream_fields(f, job, shape);
  ending_fields(f, model, job);
  shape.timings_per_token = f.boolean("timings_per_token", false);
  shape.token_ids = f.boolean("return_token_ids", false) || f.boolean("return_tokens", false);
  shape.tokens_as_ids = f.boolean("return_tokens_as_token_ids", false);
  job.keep_ids = shape.token_ids;
  refuse(f);
  prompt_logprobs_field(f, model, job, shape);
}

void score_prompts(const char* field, int32_t top, const ServedModel& model, CompletionJob& job) {
  if (!model.scorer)
    throw RequestError(field, fmt::format("{}: this server scores no prompts", field));
  job.prompt_logprobs = std::max(top, job.prompt_logprobs.value_or(0));
}

bool knows_developer(const ServedModel& model) {
  return model.text->has_template() &&
         model.text->chat_template().source().find("developer") != std::string_view::npos;
}

ChatInput chat_fields(const Fields& f, const ServedModel& model) {
  ChatInput out;
  const Json* messages = f.find("messages");
  if (!messages) throw RequestError("messages", "messages: it is missing");
  out.messages = normal_messages(*messages, knows_developer(model));
  out.tool_use = chat_tool_fields(f);
  out.template_arguments = template_arguments(f, model);
  if (const Json* documents = f.find("documents")) out.template_arguments["documents"] = *documents;
  thinking_fields(f, out);
  out.parse_tools = f.boolean("parse_tool_calls", true);
  out.grammar = grammar_fields(f);
  ChatTemplateOptions& options = out.options;
  options.continue_final_message = f.boolean("continue_final_message", false);
  options.add_generation_prompt =
      f.boolean("add_generation_prompt", !options.continue_final_message);
  if (options.continue_final_message && options.add_generation_prompt)
    throw RequestError("continue_final_message",
                       "continue_final_message: not together with add_generation_prompt");
  return out;
}

}  // namespace mica

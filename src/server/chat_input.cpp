#include "server/chat_input.h"

#include <fmt/format.h>

#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

void set_missing(Json& arguments, const char* key, const Json& value) {
  if (!arguments.contains(key)) arguments[key] = value;
}

bool must_call(const ToolUse& use) {
  return use.choice == ToolUse::Choice::kRequired || use.choice == ToolUse::Choice::kNamed;
}

bool may_call(const ToolUse& use) {
  return use.tools.is_array() && use.choice != ToolUse::Choice::kNone;
}

// A model without a form of its own writes the most common one when it must call.
AnswerStyle style_of(const ChatInput& input, const ServedModel& model) {
  AnswerStyle style = model.answers->style(model);
  if (must_call(input.tool_use) && style.tools == ToolStyle::kNone)
    style.tools = ToolStyle::kHermes;
  return style;
}

// How the answer is read; nothing to read where neither reasoning nor calls can come.
std::optional<AnswerReading> reading_of(const ChatInput& input, const std::string& rendered,
                                        const ServedModel& model) {
  AnswerReading out;
  out.style = style_of(input, model);
  const ToolUse& use = input.tool_use;
  const bool calls = input.parse_tools && may_call(use);
  if (!input.parse_reasoning) out.style.reasoning = ReasoningStyle::kNone;
  if (!calls && out.style.tools != ToolStyle::kHarmony) out.style.tools = ToolStyle::kNone;
  if (out.style == AnswerStyle{}) return std::nullopt;
  out.show_reasoning = input.show_reasoning;
  out.parser.parse_tools = calls;
  out.parser.parallel_calls = use.parallel;
  out.parser.starts_in_reasoning = prompt_opens_reasoning(rendered, out.style.reasoning);
  out.parser.special_tokens = model.answers->special_tokens(model);
  if (calls) out.parser.tools = std::make_shared<const Json>(use.tools);
  return out;
}

}  // namespace

Json template_arguments(const Fields& fields, const ServedModel& model) {
  Json out = Json::parse(model.defaults.template_arguments);
  const Json* arguments = fields.object("chat_template_kwargs");
  if (!arguments) return out;
  for (const auto& [key, value] : arguments->items()) out[key] = value;
  return out;
}

// Qwen3, GLM and others read enable_thinking, DeepSeek and Granite thinking, gpt-oss
// reasoning_effort.
void set_thinking(Json& arguments, bool thinking) {
  set_missing(arguments, "enable_thinking", thinking);
  set_missing(arguments, "thinking", thinking);
}

void set_effort(Json& arguments, const std::string& param, const std::string& effort) {
  if (effort == "none") return set_thinking(arguments, false);
  const char* known = effort == "minimal" || effort == "low"                     ? "low"
                      : effort == "medium"                                       ? "medium"
                      : effort == "high" || effort == "xhigh" || effort == "max" ? "high"
                                                                                 : nullptr;
  if (!known)
    wrong_value(param, "\"none\", \"minimal\", \"low\", \"medium\", \"high\" or \"max\"", effort);
  set_missing(arguments, "reasoning_effort", known);
  set_thinking(arguments, true);
}

std::string render_chat(const ChatInput& input, const ServedModel& model) {
  const ToolUse& use = input.tool_use;
  const bool visible = use.choice != ToolUse::Choice::kNone;
  try {
    return model.text->render(input.messages, visible ? use.tools : Json(nullptr),
                              input.template_arguments, input.options);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kUsage) throw RequestError("messages", error.what());
    throw;
  }
}

void prepare_chat(const ChatInput& input, const ServedModel& model, CompletionJob& job) {
  const std::string rendered = render_chat(input, model);
  job.prompts = {model.text->encode_rendered(rendered)};
  check_prompts(job, model);
  if (input.grammar || must_call(input.tool_use)) job.ignore_eos = false;  // its end is the end
  job.reading = reading_of(input, rendered, model);
  job.constraint = chat_constraint(input, style_of(input, model), rendered, model);
}

}  // namespace mica

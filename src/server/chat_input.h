// A chat request of any dialect: messages, tools and wishes, made into a job for the engine.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "server/completion.h"
#include "server/grammar_fields.h"
#include "server/tool_fields.h"

namespace mica {

struct ChatInput {
  nlohmann::ordered_json messages;            // as templates expect them (normal_messages)
  nlohmann::ordered_json template_arguments;  // further variables of the template
  ChatTemplateOptions options;
  ToolUse tool_use;
  std::optional<AnswerGrammar> grammar;
  int64_t thinking_budget = -1;  // reasoning tokens; -1: no limit
  bool parse_tools = true;       // false: calls stay in the text
  bool parse_reasoning = true;   // false: reasoning stays in the text
  bool show_reasoning = true;    // false: it is left out
};

// The variables of the server's flag with the request's `chat_template_kwargs` over them.
nlohmann::ordered_json template_arguments(const Fields& fields, const ServedModel& model);
// How hard to think, as templates know it ("none" … "high"); what is set already stays.
void set_effort(nlohmann::ordered_json& arguments, const std::string& param,
                const std::string& effort);
void set_thinking(nlohmann::ordered_json& arguments, bool thinking);

// chat_constraint.cpp: what limits the answer's tokens, compiled; none where all are free.
using ConstraintMaker = std::function<std::shared_ptr<TokenConstraint>()>;
ConstraintMaker chat_constraint(const ChatInput& input, AnswerStyle style,
                                const std::string& rendered, const ServedModel& model);
// The same for a text without reasoning or calls.
ConstraintMaker text_constraint(const AnswerGrammar& grammar, const ServedModel& model);

// The prompt as text.
std::string render_chat(const ChatInput& input, const ServedModel& model);
// Prompt, reading and constraint of `job`; its sampling and limits are set already. Throws
// RequestError.
void prepare_chat(const ChatInput& input, const ServedModel& model, CompletionJob& job);

}  // namespace mica

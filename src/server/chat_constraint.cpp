// From the wishes of a chat request to the constraint of its answers.
#include <algorithm>

#include "server/answer_constraint.h"
#include "server/chat_input.h"
#include "server/server_error.h"
#include "text/answer/tool_grammar.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;
using Phase = AnswerConstraint::Phase;

std::shared_ptr<const CompiledGrammar> compile(const AnswerGrammar& grammar,
                                               const ServedModel& model) {
  try {
    return model.answers->grammars(model).compile(grammar.spec);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUsage) throw;
    throw RequestError(grammar.param, grammar.param + ": " + error.what());
  }
}

bool any_strict(const Json& tools) {
  return std::any_of(tools.begin(), tools.end(), [](const Json& tool) {
    const auto function = tool.find("function");
    return function != tool.end() && is_true(*function, "strict");
  });
}

// Where the answer stands when it begins.
Phase first_phase(const ChatInput& input, AnswerStyle style, const std::string& rendered) {
  if (style.reasoning == ReasoningStyle::kNone) return Phase::kText;
  if (prompt_opens_reasoning(rendered, style.reasoning)) return Phase::kReasoning;
  if (input.options.continue_final_message) return Phase::kText;
  const size_t end = rendered.find_last_not_of(" \t\r\n");
  const std::string_view prompt = std::string_view(rendered).substr(0, end + 1);
  const bool closed = prompt.ends_with(reasoning_markers(style.reasoning).close);
  return closed ? Phase::kText : Phase::kMayReason;
}

// Calls that the request demands, or whose arguments must follow a schema.
std::optional<AnswerGrammar> call_grammar(const ChatInput& input, AnswerStyle style, Phase phase) {
  const ToolUse& use = input.tool_use;
  ToolChoice choice;
  choice.parallel = use.parallel;
  choice.in_reasoning = phase == Phase::kReasoning;
  choice.may_reason = phase == Phase::kMayReason;
  choice.name = use.name;
  switch (use.choice) {
    case ToolUse::Choice::kNone: return std::nullopt;
    case ToolUse::Choice::kRequired: choice.kind = ToolChoice::Kind::kRequired; break;
    case ToolUse::Choice::kNamed: choice.kind = ToolChoice::Kind::kNamed; break;
    case ToolUse::Choice::kAuto:
      if (!use.tools.is_array() || !any_strict(use.tools) || style.tools == ToolStyle::kNone)
        return std::nullopt;
      choice.kind = ToolChoice::Kind::kAuto;
  }
  AnswerGrammar out;
  out.param = use.param;
  out.spec.kind = GrammarSpec::Kind::kGrammar;
  try {
    out.spec.text = tool_grammar(style, use.tools, choice);
  } catch (const Error& error) {
    throw RequestError(use.param, use.param + ": " + error.what());
  }
  return out;
}

// The text's grammar begins where reasoning ends; in harmony where the final message begins.
void place_grammar(AnswerStyle style, Phase phase, const Tokenizer& tokenizer,
                   AnswerConstraint::Options& options) {
  const ReasoningMarkers markers = reasoning_markers(style.reasoning);
  if (style.reasoning == ReasoningStyle::kHarmony) {
    options.begin = Phase::kReasoning;
    options.close = "<|channel|>final<|message|>";
    return;
  }
  options.begin = phase;
  options.close = markers.close;
  if (phase != Phase::kMayReason) return;
  // Only a marker that is one token can be told from text at once.
  const auto open = tokenizer.token_to_id(markers.open);
  if (open) options.open = *open;
  if (!open) options.begin = Phase::kText;
}

std::optional<ThinkingBudget::Options> budget_of(const ChatInput& input, AnswerStyle style,
                                                 Phase phase, const Tokenizer& tokenizer) {
  if (input.thinking_budget < 0 || style.reasoning == ReasoningStyle::kNone) return std::nullopt;
  const ReasoningMarkers markers = reasoning_markers(style.reasoning);
  const auto ids = [&](std::string_view text) { return tokenizer.encode(text, false); };
  ThinkingBudget::Options out;
  out.open = ids(markers.open);
  out.close = ids(markers.close);
  out.forced_close = ids(markers.forced_close);
  out.budget = input.thinking_budget;
  out.starts_in_reasoning = phase == Phase::kReasoning;
  return out;
}

ConstraintMaker maker(AnswerConstraint::Options options) {
  return [options] { return std::make_shared<AnswerConstraint>(options); };
}

}  // namespace

ConstraintMaker chat_constraint(const ChatInput& input, AnswerStyle style,
                                const std::string& rendered, const ServedModel& model) {
  const Tokenizer& tokenizer = model.text->tokenizer();
  const Phase phase = first_phase(input, style, rendered);
  AnswerConstraint::Options options;
  options.budget = budget_of(input, style, phase, tokenizer);
  if (const auto calls = call_grammar(input, style, phase)) {
    options.grammar = compile(*calls, model);
  } else if (input.grammar) {
    options.grammar = compile(*input.grammar, model);
    place_grammar(style, phase, tokenizer, options);
  }
  if (!options.grammar && !options.budget) return nullptr;
  if (options.grammar) options.vocabulary = model.answers->vocabulary(model);
  return maker(std::move(options));
}

ConstraintMaker text_constraint(const AnswerGrammar& grammar, const ServedModel& model) {
  AnswerConstraint::Options options;
  options.grammar = compile(grammar, model);
  options.vocabulary = model.answers->vocabulary(model);
  return maker(std::move(options));
}

}  // namespace mica

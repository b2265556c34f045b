// How a model writes reasoning and tool calls into its answer: the known styles, their names and
// markers (docs/tools.md has an example of each).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

enum class ReasoningStyle : uint8_t {
  kNone,
  kThink,    // <think> … </think>: Qwen3, DeepSeek-R1, GLM, Kimi, MiniMax, LFM2 …
  kLongcat,  // <longcat_think> … </longcat_think>
  kMistral,  // [THINK] … [/THINK]
  kSeed,     // <seed:think> … </seed:think>
  kGemma,    // <|channel>thought … <channel|>
  kHarmony,  // <|channel|>analysis<|message|> … <|end|>
};

enum class ToolStyle : uint8_t {
  kNone,
  kHermes,      // <tool_call>{"name": …, "arguments": {…}}</tool_call>
  kQwen3Coder,  // <tool_call><function=f><parameter=x>…</parameter></function></tool_call>
  kGlm,         // <tool_call>f<arg_key>x</arg_key><arg_value>…</arg_value></tool_call>
  kLongcat,     // the same with <longcat_…>, or JSON in <longcat_tool_call>
  kMiniMax,     // <minimax:tool_call><invoke name="f"><parameter name="x">…
  kLlama3,      // <|python_tag|>{"name": …, "parameters": {…}}; or the bare JSON
  kMistral,     // [TOOL_CALLS][{"name": …, "arguments": {…}}] or [TOOL_CALLS]f[ARGS]{…}
  kKimi,        // <|tool_calls_section_begin|><|tool_call_begin|>functions.f:0…
  kDeepSeek,  // <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{…}…
  kLfm2,      // <|tool_call_start|>[f(x=1, y="z")]<|tool_call_end|>, or the bare list
  kGemma,     // <|tool_call>call:f{x:1,y:<|"|>z<|"|>}<tool_call|>
  kFunctionGemma,  // <start_function_call>call:f{x:1,y:<escape>z<escape>}<end_function_call>
  kHarmony,        // <|channel|>commentary to=functions.f <|constrain|>json<|message|>{…}<|call|>
};

struct AnswerStyle {
  ReasoningStyle reasoning = ReasoningStyle::kNone;
  ToolStyle tools = ToolStyle::kNone;
  bool operator==(const AnswerStyle&) const = default;
};

// From the template's text and the vocabulary (whether it has a token of that text).
AnswerStyle detect_answer_style(std::string_view chat_template,
                                const std::function<bool(std::string_view)>& has_token);

// By the names of vLLM, SGLang and mlx-lm ("hermes", "qwen3_coder", "deepseek_r1" …) or "none";
// throws Error(kUsage) listing the known names.
ToolStyle tool_style(std::string_view name);
ReasoningStyle reasoning_style(std::string_view name);
// The first of a style's names.
std::string_view name(ToolStyle style);
std::string_view name(ReasoningStyle style);
std::vector<std::string_view> tool_style_names();
std::vector<std::string_view> reasoning_style_names();

struct ReasoningMarkers {
  std::string_view open, close;  // empty for kNone
  // What ends a block that is cut short (ThinkingBudget), up to where the answer's text begins.
  std::string_view forced_close;
};
ReasoningMarkers reasoning_markers(ReasoningStyle style);

// All texts of the style that mean structure and not text.
std::vector<std::string_view> answer_markers(AnswerStyle style);

// Whether the rendered prompt ends inside a reasoning block.
bool prompt_opens_reasoning(std::string_view rendered, ReasoningStyle style);

}  // namespace mica

#include "text/answer/answer_style.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/error.h"

namespace mica {
namespace {

template <typename Style>
struct Named {
  std::string_view name;
  Style style;
};

// The first name of each style is its own; the others are what other servers call it.
constexpr Named<ToolStyle> kToolNames[] = {
    {"none", ToolStyle::kNone},
    {"hermes", ToolStyle::kHermes},
    {"json_tools", ToolStyle::kHermes},
    {"qwen", ToolStyle::kHermes},
    {"qwen25", ToolStyle::kHermes},
    {"qwen3", ToolStyle::kHermes},
    {"qwen3_coder", ToolStyle::kQwen3Coder},
    {"qwen3_xml", ToolStyle::kQwen3Coder},
    {"step3p5", ToolStyle::kQwen3Coder},
    {"glm", ToolStyle::kGlm},
    {"glm45", ToolStyle::kGlm},
    {"glm47", ToolStyle::kGlm},
    {"longcat", ToolStyle::kLongcat},
    {"minimax", ToolStyle::kMiniMax},
    {"minimax_m2", ToolStyle::kMiniMax},
    {"llama3", ToolStyle::kLlama3},
    {"llama3_json", ToolStyle::kLlama3},
    {"llama4_json", ToolStyle::kLlama3},
    {"mistral", ToolStyle::kMistral},
    {"kimi", ToolStyle::kKimi},
    {"kimi_k2", ToolStyle::kKimi},
    {"deepseek", ToolStyle::kDeepSeek},
    {"deepseek_v3", ToolStyle::kDeepSeek},
    {"deepseek_v31", ToolStyle::kDeepSeek},
    {"deepseekv3", ToolStyle::kDeepSeek},
    {"deepseekv31", ToolStyle::kDeepSeek},
    {"lfm2", ToolStyle::kLfm2},
    {"pythonic", ToolStyle::kLfm2},
    {"llama4_pythonic", ToolStyle::kLfm2},
    {"gemma", ToolStyle::kGemma},
    {"gemma4", ToolStyle::kGemma},
    {"function_gemma", ToolStyle::kFunctionGemma},
    {"functiongemma", ToolStyle::kFunctionGemma},
    {"harmony", ToolStyle::kHarmony},
    {"openai", ToolStyle::kHarmony},
    {"gpt_oss", ToolStyle::kHarmony},
    {"gpt-oss", ToolStyle::kHarmony},
};

constexpr Named<ReasoningStyle> kReasoningNames[] = {
    {"none", ReasoningStyle::kNone},
    {"think", ReasoningStyle::kThink},
    {"qwen3", ReasoningStyle::kThink},
    {"deepseek_r1", ReasoningStyle::kThink},
    {"deepseek-r1", ReasoningStyle::kThink},
    {"deepseek_v3", ReasoningStyle::kThink},
    {"deepseek-v3", ReasoningStyle::kThink},
    {"glm45", ReasoningStyle::kThink},
    {"kimi_k2", ReasoningStyle::kThink},
    {"minimax_m2", ReasoningStyle::kThink},
    {"nemotron_v3", ReasoningStyle::kThink},
    {"longcat", ReasoningStyle::kLongcat},
    {"mistral", ReasoningStyle::kMistral},
    {"seed", ReasoningStyle::kSeed},
    {"seed_oss", ReasoningStyle::kSeed},
    {"gemma", ReasoningStyle::kGemma},
    {"gemma4", ReasoningStyle::kGemma},
    {"harmony", ReasoningStyle::kHarmony},
    {"openai_gptoss", ReasoningStyle::kHarmony},
    {"gpt_oss", ReasoningStyle::kHarmony},
    {"gpt-oss", ReasoningStyle::kHarmony},
};

template <typename Style, size_t N>
std::vector<std::string_view> names_of(const Named<Style> (&table)[N]) {
  std::vector<std::string_view> names;
  for (const auto& entry : table) names.push_back(entry.name);
  return names;
}

template <typename Style, size_t N>
Style find(const Named<Style> (&table)[N], const char* what, std::string_view name) {
  for (const auto& entry : table) {
    if (entry.name == name) return entry.style;
  }
  throw Error(ErrorKind::kUsage, "[answer] no {} style is named '{}'; known are {}", what, name,
              fmt::join(names_of(table), ", "));
}

template <typename Style, size_t N>
std::string_view first_name(const Named<Style> (&table)[N], Style style) {
  for (const auto& entry : table) {
    if (entry.style == style) return entry.name;
  }
  return "none";
}

using HasToken = std::function<bool(std::string_view)>;

ReasoningStyle detect_reasoning(std::string_view text, const HasToken& has_token) {
  auto has = [&](std::string_view part) { return text.find(part) != std::string_view::npos; };
  if (has("<|channel|>") && has("<|message|>")) return ReasoningStyle::kHarmony;
  if (has("<|channel>") || (has_token("<|channel>") && has_token("<channel|>"))) {
    return ReasoningStyle::kGemma;
  }
  if (has("longcat_think>")) return ReasoningStyle::kLongcat;
  if (has("seed:think>")) return ReasoningStyle::kSeed;
  if (has("[THINK]")) return ReasoningStyle::kMistral;
  if (has("think>")) return ReasoningStyle::kThink;
  // A template may leave the markers to the model.
  if (has_token("<longcat_think>")) return ReasoningStyle::kLongcat;
  if (has_token("<think>") && has_token("</think>")) return ReasoningStyle::kThink;
  if (has_token("[THINK]") && has_token("[/THINK]")) return ReasoningStyle::kMistral;
  return ReasoningStyle::kNone;
}

// From the most particular mark to the most common one: Qwen's <tool_call> comes in three styles.
ToolStyle detect_tools(std::string_view text, const HasToken& has_token) {
  auto has = [&](std::string_view part) { return text.find(part) != std::string_view::npos; };
  if (has("<|channel|>") && has("<|message|>")) return ToolStyle::kHarmony;
  if (has("<minimax:tool_call>")) return ToolStyle::kMiniMax;
  if (has("<|tool_call>")) return ToolStyle::kGemma;
  if (has("<start_function_call>")) return ToolStyle::kFunctionGemma;
  if (has("<longcat_tool_call>")) return ToolStyle::kLongcat;
  if (has("<arg_key>")) return ToolStyle::kGlm;
  if (has("<|tool_calls_section_begin|>")) return ToolStyle::kKimi;
  if (has("<｜tool▁calls▁begin｜>")) return ToolStyle::kDeepSeek;
  if (has("<|tool_list_start|>") || has("<|tool_call_start|>")) return ToolStyle::kLfm2;
  if (has("[TOOL_CALLS]")) return ToolStyle::kMistral;
  if (has("<function=") && has("<parameter=")) return ToolStyle::kQwen3Coder;
  if (has("<tool_call>")) return ToolStyle::kHermes;
  const bool tools = has("tools");
  if (tools && (has("<|python_tag|>") || has("ipython") || has_token("<|python_tag|>"))) {
    return ToolStyle::kLlama3;
  }
  if (tools && has_token("[TOOL_CALLS]")) return ToolStyle::kMistral;
  if (tools && has_token("<tool_call>")) return ToolStyle::kHermes;
  return ToolStyle::kNone;
}

std::vector<std::string_view> tool_markers(ToolStyle style) {
  switch (style) {
    case ToolStyle::kNone: return {};
    case ToolStyle::kHermes:
    case ToolStyle::kQwen3Coder: return {"<tool_call>", "</tool_call>"};
    case ToolStyle::kGlm:
      return {"<tool_call>", "</tool_call>", "<arg_key>",
              "</arg_key>",  "<arg_value>",  "</arg_value>"};
    case ToolStyle::kLongcat:
      return {"<longcat_tool_call>", "</longcat_tool_call>", "<longcat_arg_key>",
              "</longcat_arg_key>",  "<longcat_arg_value>",  "</longcat_arg_value>"};
    case ToolStyle::kMiniMax: return {"<minimax:tool_call>", "</minimax:tool_call>"};
    case ToolStyle::kLlama3: return {"<|python_tag|>"};
    case ToolStyle::kMistral: return {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"};
    case ToolStyle::kKimi:
      return {"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>",
              "<|tool_call_argument_begin|>", "<|tool_call_end|>"};
    case ToolStyle::kDeepSeek:
      return {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>",
              "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"};
    case ToolStyle::kLfm2: return {"<|tool_call_start|>", "<|tool_call_end|>"};
    case ToolStyle::kGemma: return {"<|tool_call>", "<tool_call|>", "<|\"|>"};
    case ToolStyle::kFunctionGemma:
      return {"<start_function_call>", "<end_function_call>", "<escape>"};
    case ToolStyle::kHarmony:
      return {"<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>", "<|call|>"};
  }
  return {};
}

}  // namespace

AnswerStyle detect_answer_style(std::string_view chat_template, const HasToken& has_token) {
  return {detect_reasoning(chat_template, has_token), detect_tools(chat_template, has_token)};
}

ToolStyle tool_style(std::string_view name) {
  return find(kToolNames, "tool call", name);
}
ReasoningStyle reasoning_style(std::string_view name) {
  return find(kReasoningNames, "reasoning", name);
}
std::string_view name(ToolStyle style) {
  return first_name(kToolNames, style);
}
std::string_view name(ReasoningStyle style) {
  return first_name(kReasoningNames, style);
}
std::vector<std::string_view> tool_style_names() {
  return names_of(kToolNames);
}
std::vector<std::string_view> reasoning_style_names() {
  return names_of(kReasoningNames);
}

ReasoningMarkers reasoning_markers(ReasoningStyle style) {
  switch (style) {
    case ReasoningStyle::kNone: return {};
    case ReasoningStyle::kThink: return {"<think>", "</think>", "\n</think>\n\n"};
    case ReasoningStyle::kLongcat:
      return {"<longcat_think>", "</longcat_think>", "\n</longcat_think>\n"};
    case ReasoningStyle::kMistral: return {"[THINK]", "[/THINK]", "[/THINK]"};
    case ReasoningStyle::kSeed: return {"<seed:think>", "</seed:think>", "\n</seed:think>\n"};
    case ReasoningStyle::kGemma: return {"<|channel>thought", "<channel|>", "\n<channel|>"};
    case ReasoningStyle::kHarmony:
      return {"<|channel|>analysis<|message|>", "<|end|>",
              "<|end|><|start|>assistant<|channel|>final<|message|>"};
  }
  return {};
}

std::vector<std::string_view> answer_markers(AnswerStyle style) {
  std::vector<std::string_view> markers = tool_markers(style.tools);
  if (style.reasoning == ReasoningStyle::kHarmony) {
    for (std::string_view marker : tool_markers(ToolStyle::kHarmony)) markers.push_back(marker);
  } else if (style.reasoning == ReasoningStyle::kGemma) {
    markers.insert(markers.end(), {"<|channel>", "<channel|>"});
  } else if (style.reasoning != ReasoningStyle::kNone) {
    const ReasoningMarkers pair = reasoning_markers(style.reasoning);
    markers.insert(markers.end(), {pair.open, pair.close});
  }
  std::sort(markers.begin(), markers.end());
  markers.erase(std::unique(markers.begin(), markers.end()), markers.end());
  return markers;
}

bool prompt_opens_reasoning(std::string_view rendered, ReasoningStyle style) {
  const ReasoningMarkers markers = reasoning_markers(style);
  if (markers.open.empty()) return false;
  const size_t opened = rendered.rfind(markers.open);
  if (opened == std::string_view::npos) return false;
  // Only white space may follow: an open marker further up is in a message, or closed.
  const std::string_view rest = rendered.substr(opened + markers.open.size());
  return rest.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace mica

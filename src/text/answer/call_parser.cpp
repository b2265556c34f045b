#include "text/answer/call_parser.h"

#include <map>

namespace mica::answer {
namespace {

// Llama 3: JSON, or a method call of one of its own tools.
class LlamaCalls : public CallParser {
 public:
  explicit LlamaCalls(const ToolTypes& types) : types_(&types) {}
  CallStatus feed(char c, CallSink& sink) override {
    if (!inner_) {
      if (is_space(c)) return CallStatus::kMore;
      inner_ = c == '{' || c == '[' ? make_json_calls("", false, *types_)
                                    : make_python_calls(PythonForm::kMethod, *types_);
    }
    const CallStatus status = inner_->feed(c, sink);
    return status == CallStatus::kFailed ? failed(inner_->problem()) : status;
  }
  bool finish(bool complete, CallSink& sink) override {
    return inner_ && inner_->finish(complete, sink);
  }

 private:
  const ToolTypes* types_;
  std::unique_ptr<CallParser> inner_;
};

using Table = std::map<ToolStyle, CallMarkers>;

const Table& table() {
  static const Table kTable = {
      {ToolStyle::kNone, {}},
      {ToolStyle::kHermes, {.begin = {"<tool_call>"}, .stray = {"</tool_call>"}}},
      {ToolStyle::kQwen3Coder, {.begin = {"<tool_call>", "<function="}, .stray = {"</tool_call>"}}},
      {ToolStyle::kGlm, {.begin = {"<tool_call>"}, .stray = {"</tool_call>"}}},
      {ToolStyle::kLongcat, {.begin = {"<longcat_tool_call>"}, .stray = {"</longcat_tool_call>"}}},
      {ToolStyle::kMiniMax, {.begin = {"<minimax:tool_call>"}, .stray = {"</minimax:tool_call>"}}},
      {ToolStyle::kLlama3, {.begin = {"<|python_tag|>", "<function="}, .bare = '{'}},
      {ToolStyle::kMistral,
       {.begin = {"[TOOL_CALLS]"}, .stray = {"[ARGS]", "[CALL_ID]"}, .end_reasoning = true}},
      {ToolStyle::kKimi,
       {.begin = {"<|tool_calls_section_begin|>", "<|tool_call_section_begin|>",
                  "<|tool_call_begin|>"},
        .stray = {"<|tool_calls_section_end|>", "<|tool_call_section_end|>", "<|tool_call_end|>",
                  "<|tool_call_argument_begin|>"},
        .end_reasoning = true}},
      {ToolStyle::kDeepSeek,
       {.begin = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"},
        .stray = {"<｜tool▁calls▁end｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>"},
        .end_reasoning = true}},
      {ToolStyle::kLfm2,
       {.begin = {"<|tool_call_start|>"}, .stray = {"<|tool_call_end|>"}, .bare = '['}},
      {ToolStyle::kGemma,
       {.begin = {"<|tool_call>"}, .stray = {"<tool_call|>"}, .end_reasoning = true}},
      {ToolStyle::kFunctionGemma,
       {.begin = {"<start_function_call>"}, .stray = {"<end_function_call>"}}},
      {ToolStyle::kHarmony,
       {.begin = {"<|start|>", "<|channel|>"},
        .stray = {"<|message|>", "<|constrain|>"},
        .end_reasoning = true}},
  };
  return kTable;
}

}  // namespace

const CallMarkers& call_markers(ToolStyle style) {
  return table().at(style);
}

std::unique_ptr<CallParser> make_call_parser(ToolStyle style, std::string_view begin,
                                             const ToolTypes& types) {
  switch (style) {
    case ToolStyle::kNone:
    case ToolStyle::kHarmony: return nullptr;  // made by make_harmony_message
    case ToolStyle::kHermes:
    case ToolStyle::kQwen3Coder:
    case ToolStyle::kGlm:
    case ToolStyle::kLongcat:
    case ToolStyle::kMiniMax: return make_tag_calls(style, begin, types);
    case ToolStyle::kLlama3:
      if (begin.empty()) return make_json_calls("", true, types);
      if (begin == "<function=") return make_tag_calls(style, begin, types);
      return std::make_unique<LlamaCalls>(types);
    case ToolStyle::kMistral: return make_mistral_calls(types);
    case ToolStyle::kKimi: return make_section_calls(style, begin == "<|tool_call_begin|>");
    case ToolStyle::kDeepSeek: return make_section_calls(style, begin == "<｜tool▁call▁begin｜>");
    case ToolStyle::kLfm2:
      return make_python_calls(begin.empty() ? PythonForm::kBare : PythonForm::kMarked, types);
    case ToolStyle::kGemma: return make_gemma_calls(false);
    case ToolStyle::kFunctionGemma: return make_gemma_calls(true);
  }
  return nullptr;
}

}  // namespace mica::answer

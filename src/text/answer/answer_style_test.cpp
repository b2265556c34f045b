#include "text/answer/answer_style.h"

#include "base/error.h"
#include "text/answer/answer_test.h"

namespace mica::answer_test {
namespace {

bool no_token(std::string_view) {
  return false;
}

TEST(AnswerStyle, IsFoundInTheTemplateThatWritesIt) {
  for (const Style& style : all_styles()) {
    std::string text = "{% if tools %}{{ tools }}{% endif %}" + call_template(style.style.tools);
    text += reasoning_markers(style.style.reasoning).open;
    EXPECT_EQ(detect_answer_style(text, no_token), style.style) << style.name;
    EXPECT_EQ(tool_style(style.name), style.style.tools);
  }
}

TEST(AnswerStyle, IsFoundInTheVocabulary) {
  auto has = [](std::string_view token) {
    return token == "<think>" || token == "</think>" || token == "<tool_call>";
  };
  const AnswerStyle expected{ReasoningStyle::kThink, ToolStyle::kHermes};
  EXPECT_EQ(detect_answer_style("{{ tools }}", has), expected);
  EXPECT_EQ(detect_answer_style("{{ messages }}", has).tools, ToolStyle::kNone);
  EXPECT_EQ(detect_answer_style("{{ messages }}", no_token), AnswerStyle{});
  auto llama = [](std::string_view token) { return token == "<|python_tag|>"; };
  EXPECT_EQ(detect_answer_style("{{ tools }}", llama).tools, ToolStyle::kLlama3);
}

TEST(AnswerStyle, Names) {
  for (std::string_view each : tool_style_names()) EXPECT_NO_THROW(tool_style(each));
  for (std::string_view each : reasoning_style_names()) EXPECT_NO_THROW(reasoning_style(each));
  EXPECT_EQ(tool_style("kimi_k2"), ToolStyle::kKimi);
  EXPECT_EQ(tool_style("none"), ToolStyle::kNone);
  EXPECT_EQ(name(ToolStyle::kGlm), "glm");
  EXPECT_EQ(reasoning_style("deepseek_r1"), ReasoningStyle::kThink);
  EXPECT_EQ(name(ReasoningStyle::kHarmony), "harmony");
  try {
    tool_style("hermès");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("'hermès'; known are none, hermes"),
              std::string::npos);
  }
}

TEST(AnswerStyle, PromptsThatOpenReasoning) {
  using R = ReasoningStyle;
  EXPECT_TRUE(prompt_opens_reasoning("<|assistant|>\n<think>\n", R::kThink));
  EXPECT_FALSE(prompt_opens_reasoning("<|assistant|>\n<think>\n\n</think>\n\n", R::kThink));
  EXPECT_FALSE(prompt_opens_reasoning("use <think> tags\n<|assistant|>", R::kThink));
  EXPECT_FALSE(prompt_opens_reasoning("<|assistant|>", R::kThink));
  EXPECT_FALSE(prompt_opens_reasoning("<think>", R::kNone));
  EXPECT_TRUE(
      prompt_opens_reasoning("<|start|>assistant<|channel|>analysis<|message|>", R::kHarmony));
  EXPECT_FALSE(prompt_opens_reasoning("<|start|>assistant", R::kHarmony));
  EXPECT_TRUE(prompt_opens_reasoning("<|turn>model\n<|channel>thought\n", R::kGemma));
}

TEST(AnswerStyle, Markers) {
  const auto markers = answer_markers({ReasoningStyle::kThink, ToolStyle::kHermes});
  EXPECT_EQ(markers,
            (std::vector<std::string_view>{"</think>", "</tool_call>", "<think>", "<tool_call>"}));
  EXPECT_TRUE(answer_markers({}).empty());
}

}  // namespace
}  // namespace mica::answer_test

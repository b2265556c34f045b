#include "bench/run/output_check.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "fake_engine/engine.h"

namespace mica {
namespace {

TEST(GreedyAnswer, OfAChat) {
  const GreedyAnswer answer = read_greedy_answer(
      R"({"choices": [{"message": {"content": "Hi there"}, "logprobs": {"content":
          [{"token": "Hi", "logprob": -0.5}, {"token": " there", "logprob": -0.25}]}}]})");
  EXPECT_EQ(answer.text, "Hi there");
  EXPECT_EQ(answer.tokens, (std::vector<std::string>{"Hi", " there"}));
  EXPECT_EQ(answer.logprobs, (std::vector<double>{-0.5, -0.25}));
}

TEST(GreedyAnswer, TheTokenThatEndsItDoesNotCount) {
  for (const char* end : {"", "<|im_end|>"}) {
    const GreedyAnswer answer = read_greedy_answer(fmt::format(
        R"({{"choices": [{{"message": {{"content": "Hi"}}, "finish_reason": "stop", "logprobs":
            {{"content": [{{"token": "Hi", "logprob": -0.5}},
                          {{"token": "{}", "logprob": -0.1}}]}}}}]}})",
        end));
    EXPECT_EQ(answer.tokens, std::vector<std::string>{"Hi"});
    EXPECT_EQ(answer.logprobs, std::vector<double>{-0.5});
  }
}

TEST(GreedyAnswer, ReasoningUnderBothNamesCountsOnce) {
  EXPECT_EQ(read_greedy_answer(R"({"choices": [{"message": {"reasoning": "hm", "reasoning_content":
                                   "hm", "content": "Yes"}}]})")
                .text,
            "hmYes");
}

TEST(GreedyAnswer, TokenIdsAreNoTexts) {
  const GreedyAnswer answer = read_greedy_answer(
      R"({"choices": [{"text": "Hi", "logprobs": {"token_logprobs": [-1, -2], "tokens": [5, 6]}}]})");
  EXPECT_EQ(answer.text, "Hi");
  EXPECT_TRUE(answer.tokens.empty());
  EXPECT_EQ(answer.logprobs.size(), 2u);
}

TEST(GreedyAnswer, WhatIsNoneIsEmpty) {
  for (const char* text : {"", "{", "[]", "{}", R"({"choices": []})", R"({"choices": [3]})",
                           R"({"choices": [{"message": null, "logprobs": {"content": 3}}]})"})
    EXPECT_TRUE(read_greedy_answer(text).text.empty()) << text;
}

TEST(OutputMarks, SayWhatWasFound) {
  OutputCheck reference, other;
  reference.backend = "mica";
  other.backend = "vllm";
  for (size_t i = 0; i < output_prompts().size(); ++i) {
    reference.answers.push_back({"an answer", {}, {}});
    other.answers.push_back({i < 6 ? "an answer" : "zzz", {}, {}});
  }
  EXPECT_TRUE(marks_of(reference, &reference).empty());
  const std::vector<Mark> marks = marks_of(other, &reference);
  ASSERT_EQ(marks.size(), 1u);
  EXPECT_EQ(marks[0].code, "outputs_rounding");
  other.faults.push_back({0, {OutputFault::kEmpty, "ended with 'stop'"}});
  EXPECT_EQ(marks_of(other, &reference)[0].code, "broken_output");
  EXPECT_EQ(marks_of(other, &reference)[0].severity, Severity::kWarning);
}

class OutputCheckTest : public testing::Test {
 protected:
  static OutputCheck check(const fake::Script& script, int64_t tokens = kCheckTokens) {
    fake::FakeEngine engine(script);
    engine.start();
    LaunchPlan plan;
    plan.backend = "fake";
    plan.served_name.value = "fake-model";
    Client client({.url = engine.url()});
    return check_outputs(client, plan, tokens);
  }
  static fake::Script quick() {
    fake::Script script;
    script.timing.first_token_ms = script.timing.interval_ms = 0;
    script.answer.text =
        "The sky is blue because air scatters short waves of light more than long ones do.";
    return script;
  }
  static const Mark* mark_of(const std::vector<Mark>& marks, const std::string& code) {
    for (const Mark& mark : marks)
      if (mark.code == code) return &mark;
    return nullptr;
  }
};

TEST_F(OutputCheckTest, AnswersThatChangeAreNamed) {
  fake::Script script = quick();
  EXPECT_FALSE(mark_of(marks_of(check(script), nullptr), "nondeterministic"));
  script.answer.text.clear();
  script.answer.vary = true;
  const OutputCheck found = check(script);
  EXPECT_EQ(found.asked_again, 3);
  const std::vector<Mark> marks = marks_of(found, nullptr);
  const Mark* mark = mark_of(marks, "nondeterministic");
  ASSERT_TRUE(mark);
  EXPECT_EQ(mark->severity, Severity::kNote);
  EXPECT_EQ(mark->text.substr(0, 6), "3 of 3");
}

TEST_F(OutputCheckTest, AModelThatThinksGetsMoreTokens) {
  fake::Script script = quick();
  EXPECT_EQ(check(script).tokens, kCheckTokens);
  script.answer.text.clear();
  script.answer.tokens = 120;
  script.answer.reasoning_tokens = 100;
  const OutputCheck enough = check(script);
  EXPECT_EQ(enough.tokens, kCheckTokens * kThinkingFactor);
  EXPECT_EQ(enough.unfinished, 0);
  const OutputCheck cut = check(script, 4);
  EXPECT_EQ(cut.unfinished, static_cast<int64_t>(output_prompts().size()));
  const std::vector<Mark> marks = marks_of(cut, nullptr);
  const Mark* mark = mark_of(marks, "unfinished_reasoning");
  ASSERT_TRUE(mark);
  EXPECT_EQ(mark->severity, Severity::kWarning);
  EXPECT_NE(mark->text.find("longer than 32 tokens; raise --check-tokens"), std::string::npos);
}

TEST_F(OutputCheckTest, EnglishIsNoAnswerToAChineseQuestion) {
  const OutputCheck found = check(quick());
  std::vector<size_t> prompts;
  for (const OutputCheck::Found& fault : found.faults)
    if (fault.finding.fault == OutputFault::kLanguage) prompts.push_back(fault.prompt);
  EXPECT_EQ(prompts, (std::vector<size_t>{6, 7}));
}

}  // namespace
}  // namespace mica

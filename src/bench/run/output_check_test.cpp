#include "bench/run/output_check.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace mica

#include "bench/eval/match.h"

#include <gtest/gtest.h>

#include "bench/eval/eval_record.h"

namespace mica {
namespace {

TEST(Match, Texts) {
  const Expected exact{.match = MatchKind::kExact, .texts = {"Oslo", "Kristiania"}};
  EXPECT_TRUE(match_answer(exact, " Oslo\n").right);
  EXPECT_TRUE(match_answer(exact, "Kristiania").right);
  EXPECT_FALSE(match_answer(exact, "oslo").right);
  EXPECT_EQ(match_answer(exact, "In\nOslo.").why, "found 'In Oslo.', expected 'Oslo' or another");
  const Expected contains{.match = MatchKind::kContains, .texts = {"straße"}, .ignore_case = true};
  EXPECT_TRUE(match_answer(contains, "Die STRASSE ist lang").right);
  EXPECT_EQ(match_answer(contains, "Weg").why, "found 'Weg', expected it to contain 'straße'");
}

TEST(Match, Numbers) {
  Expected number{.match = MatchKind::kNumber, .number = *parse_decimal("18")};
  EXPECT_TRUE(match_answer(number, "So 18.00 dollars").right);
  EXPECT_EQ(match_answer(number, "#### 18").why, "18 (after ####)");
  EXPECT_EQ(match_answer(number, "It is 20").why, "found 20 (last number), expected 18");
  EXPECT_EQ(match_answer(number, "many").why, "found no number, expected 18");
  EXPECT_FALSE(match_answer(number, "18.1").right);
  number.tolerance = 0.25;
  EXPECT_TRUE(match_answer(number, "18.1").right);
  EXPECT_FALSE(match_answer(number, "18.5").right);
}

TEST(Match, Choices) {
  const std::vector<std::string> choices = {"Rome", "Oslo", "Bern", "A city"};
  const std::pair<const char*, int> cases[] = {
      {"B", 1},
      {"b", 1},
      {"(B)", 1},
      {"**B.**", 1},
      {"B. Oslo", 1},
      {"The answer is B.", 1},
      {"The answer is **(C)** and not A.", 2},
      {"Answer: C", 2},
      {"Rome is A. So the correct answer would be option B", 1},
      {"First A, no.\n\\boxed{C}", 2},
      {"\\boxed{\\text{B}}", 1},
      {"Let me think about it.\n\nC) Bern", 2},
      {"It is Oslo, of course.", 1},
      {"It is Oslo or Rome.", -1},
      {"E", -1},
      {"A city? I don't know what to answer", 3},
      {"The answer is a riddle", -1},
      {"", -1},
      {"Because", -1},
  };
  for (const auto& [answer, choice] : cases) {
    const auto found = find_choice(answer, choices);
    EXPECT_EQ(found ? static_cast<int>(*found) : -1, choice) << answer;
  }
  const Expected expected{.match = MatchKind::kChoice, .choices = choices, .choice = 1};
  EXPECT_TRUE(match_answer(expected, "B").right);
  EXPECT_EQ(match_answer(expected, "A").why, "found A, expected B");
  EXPECT_EQ(match_answer(expected, "?").why, "found no choice in '?', expected B");
}

TEST(AnswerText, ReasoningIsNoAnswer) {
  struct Case {
    const char *answer, *reasoning;
    const char* left;
    bool truncated;
  };
  const Case cases[] = {
      {" 18 ", "", "18", false},
      {"18", "I think", "18", false},
      {"", "I think", "", true},
      {" \n", "I think", "", true},
      {"", "", "", false},
      {"<think>9 * 2</think>\n\n18", "", "18", false},
      {"9 * 2</think>18", "", "18", false},
      {"<think>9 * 2", "", "", true},
      {"<think></think>", "", "", true},
      {"<think>a</think>b<think>c", "", "", true},
      {"[THINK]x[/THINK]18", "", "18", false},
      {"<seed:think>x</seed:think>18", "", "18", false},
      {"<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>18", "",
       "18", false},
      {"The tag <think> opens it", "", "The tag <think> opens it", false},
  };
  for (const Case& c : cases) {
    const AnswerText text = answer_text(c.answer, c.reasoning);
    EXPECT_EQ(text.answer, c.left) << c.answer;
    EXPECT_EQ(text.truncated, c.truncated) << c.answer;
  }
}

TEST(EvalRecord, KnowsItsOutcome) {
  Question question{.id = "q", .prompt_hash = "h"};
  question.expected = Expected{.match = MatchKind::kNumber, .number = *parse_decimal("18")};
  RequestSample request{.sent = 1, .first_token = 1.5, .ended = 3, .status = RequestStatus::kOk};
  request.answer = "#### 18";
  request.reasoning = "9 * 2";
  request.completion_tokens = 12;
  const EvalRecord right = make_record(question, request);
  EXPECT_EQ(right.outcome, Outcome::kCorrect);
  EXPECT_EQ(right.reasoning_bytes, 5);
  EXPECT_EQ(right.seconds, 2);
  EXPECT_EQ(right.first_token, 0.5);
  EXPECT_EQ(right.completion_tokens, 12);

  request.answer = "";
  request.finish_reason = "length";
  const EvalRecord truncated = make_record(question, request);
  EXPECT_EQ(truncated.outcome, Outcome::kTruncated);
  EXPECT_EQ(truncated.why,
            "ended within its reasoning after 5 bytes of it, at its budget of tokens");

  request.status = RequestStatus::kTimeout;
  request.error = "no token for 60 s";
  const EvalRecord failed = make_record(question, request);
  EXPECT_EQ(failed.outcome, Outcome::kFailed);
  EXPECT_EQ(failed.why, "timeout: no token for 60 s");
}

}  // namespace
}  // namespace mica

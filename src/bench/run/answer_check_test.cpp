#include "bench/run/answer_check.h"

#include <gtest/gtest.h>

namespace mica {
namespace {

RequestSample answered(const std::string& answer) {
  RequestSample sample;
  sample.id = 7;
  sample.status = RequestStatus::kOk;
  sample.answer = answer;
  sample.finish_reason = "stop";
  return sample;
}

std::string loop() {
  std::string text = "The sky is blue. ";
  for (int i = 0; i < 30; ++i) text += "It is blue. ";
  return text;
}

TEST(AnswerCheck, FindsLoopsAndEmptiness) {
  AnswerCheck check(/*judge=*/true, /*quote=*/true);
  for (int i = 0; i < 3; ++i) check.take(answered("Because air scatters short waves."), "");
  EXPECT_TRUE(check.marks().empty());
  check.take(answered(loop()), "");
  ASSERT_EQ(check.marks().size(), 1u);
  EXPECT_EQ(check.marks()[0].code, "broken_answers");
  EXPECT_EQ(check.marks()[0].severity, Severity::kWarning);
  EXPECT_NE(
      check.marks()[0].text.find("1 of 4 answers are broken; request 7: repeats: 'It is blue"),
      std::string::npos)
      << check.marks()[0].text;
  check.take(answered(""), "");
  check.take(answered(" \n"), "");
  EXPECT_EQ(check.marks()[0].severity, Severity::kInvalid);
}

TEST(AnswerCheck, WarmUpFailuresAndForcedLengthsAreLeftOut) {
  AnswerCheck check(/*judge=*/true, /*quote=*/true);
  RequestSample warm = answered(""), failed = answered(""), call = answered("");
  warm.warmup = true;
  failed.status = RequestStatus::kTimeout;
  call.tool_calls = "[]";
  for (const RequestSample& sample : {warm, failed, call}) check.take(sample, "");
  EXPECT_TRUE(check.marks().empty());
  AnswerCheck forced(/*judge=*/false, /*quote=*/true);
  forced.take(answered(loop()), "");
  EXPECT_TRUE(forced.marks().empty());
}

TEST(AnswerCheck, APrivateOneQuotesNothing) {
  AnswerCheck check(/*judge=*/true, /*quote=*/false);
  check.take(answered(loop()), "");
  EXPECT_EQ(check.marks()[0].text.find("blue"), std::string::npos);
}

TEST(AnswerCheck, CountsWhatWasExpected) {
  AnswerCheck check(/*judge=*/false, /*quote=*/true);
  check.take(answered("It was bought in TRONDHEIM."), "Trondheim");
  check.take(answered("In Oslo."), "Trondheim");
  ASSERT_EQ(check.marks().size(), 1u);
  EXPECT_EQ(check.marks()[0].code, "expected_answers");
  EXPECT_EQ(check.marks()[0].severity, Severity::kNote);
  EXPECT_EQ(check.marks()[0].text, "1 of 2 answers hold what they have to");
}

}  // namespace
}  // namespace mica

#include <gtest/gtest.h>

#include "bench/outputs/agreement.h"
#include "bench/outputs/faults.h"

namespace mica {
namespace {

std::vector<std::string> faults_of(std::string_view answer, std::string_view reasoning = "",
                                   std::string_view prompt = "Why is the sky blue?") {
  std::vector<std::string> names;
  for (const OutputFinding& finding : find_faults(
           {.prompt = prompt, .reasoning = reasoning, .answer = answer, .finish_reason = "length"}))
    names.emplace_back(name(finding.fault));
  return names;
}

using Names = std::vector<std::string>;

TEST(RepeatedEnd, TheLongestWins) {
  EXPECT_LT(repeated_end("abcdef").count, 2);
  EXPECT_LT(repeated_end("").count, 2);
  const Repetition word = repeated_end("It is the the the the the ");
  EXPECT_EQ(word.bytes, 20u + 1);  // the space before the first belongs to it
  EXPECT_EQ(word.unit.size(), 4u);
  const Repetition cut = repeated_end("x abcabcabcab");
  EXPECT_EQ(cut.bytes, 11u);
  EXPECT_NEAR(cut.count, 11.0 / 3, 1e-9);
}

TEST(OutputFaults, GoodAnswersHaveNone) {
  EXPECT_EQ(faults_of("Air scatters short waves of light more than long ones, so that blue comes "
                      "from everywhere."),
            Names{});
  EXPECT_EQ(
      faults_of("- one\n- two\n- three\n- four\n- five\n- six\n- seven\n- eight\n- nine\n- ten\n"),
      Names{});
  EXPECT_EQ(faults_of("Yes."), Names{});
  EXPECT_EQ(
      faults_of("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |\n| 7 | 8 |\n| 9 | 10 |\n"),
      Names{});
}

TEST(OutputFaults, BrokenOnesAreFound) {
  EXPECT_EQ(faults_of(""), Names{"empty"});
  EXPECT_EQ(faults_of(" \n\n"), Names{"empty"});
  EXPECT_EQ(faults_of("", "I think that"), Names{"no_answer"});
  std::string loop = "The sky is blue. ";
  for (int i = 0; i < 30; ++i) loop += "It is blue. ";
  EXPECT_EQ(faults_of(loop), Names{"repeats"});
  EXPECT_EQ(faults_of(std::string(200, '!')), Names{"repeats"});
  EXPECT_EQ(faults_of("text \xff\xfe\x01 and \xef\xbf\xbd more"), Names{"garbage"});
  std::string chinese;
  for (const char* part : {"天空是蓝色的因为空气分子散射阳光", "中的短波光比长波光更多所以我们看",
                           "到蓝色海洋山川河流日月星辰"})
    chinese += part;
  EXPECT_EQ(faults_of(chinese), Names{"script"});
  EXPECT_EQ(faults_of(chinese, "", "天为什么是蓝的?"), Names{});
}

TEST(OutputFaults, AnAnswerInAnotherLanguage) {
  const auto found = [](std::string_view answer, std::string_view language) {
    Names names;
    for (const OutputFinding& finding : find_faults(
             {.prompt = "请用一句话解释什么是重力。", .answer = answer, .language = language}))
      names.emplace_back(name(finding.fault));
    return names;
  };
  const std::string english =
      "Gravity is the force with which all things that have mass attract each other.";
  EXPECT_EQ(found(english, "zh"), Names{"language"});
  EXPECT_EQ(found(english, "en"), Names{});
  EXPECT_EQ(found(english, ""), Names{});
  EXPECT_EQ(found("重力是地球对物体的吸引力,它使物体向地球中心下落,也使行星围绕太阳运行。没有它,"
                  "空气和海洋都会离开地球飘向太空。",
                  "zh"),
            Names{});
  EXPECT_EQ(found("Gravity.", "zh"), Names{});  // too short to judge
  EXPECT_EQ(
      found("F = G * m1 * m2 / r^2; g = 9.81; x1, y1, z1, abcdefghijklmnop, qrstuvwxyz", "zh"),
      Names{});  // no words
}

TEST(Agreement, SameAnswers) {
  const std::vector<GreedyAnswer> a = {{"ab", {"a", "b"}, {-0.1, -0.2}}, {"c", {"c"}, {-0.3}}};
  const Agreement same = agreement(a, a);
  EXPECT_EQ(same.prompts, 2);
  EXPECT_EQ(same.identical, 2);
  EXPECT_TRUE(same.by_tokens);
  EXPECT_EQ(same.same_share, 1);
  EXPECT_EQ(same.first_difference, -1);
  EXPECT_EQ(same.compared_logprobs, 3);
  EXPECT_EQ(verdict(same), AgreementVerdict::kSame);
}

TEST(Agreement, AnswersThatPart) {
  const std::vector<GreedyAnswer> a = {{"abc", {"a", "b", "c"}, {-0.1, -0.2, -0.7}}};
  const std::vector<GreedyAnswer> b = {{"abd", {"a", "b", "d"}, {-0.11, -0.21, -0.68}}};
  const Agreement near = agreement(a, b);
  EXPECT_EQ(near.identical, 0);
  EXPECT_EQ(near.first_difference, 2);
  EXPECT_NEAR(near.same_share, 2.0 / 3, 1e-9);
  EXPECT_NEAR(near.mean_logprob_distance, 0.04 / 3, 1e-9);
  EXPECT_NEAR(near.largest_logprob_distance, 0.02, 1e-9);
  EXPECT_EQ(verdict(near), AgreementVerdict::kRounding);

  const std::vector<GreedyAnswer> broken = {{"xyz", {"x", "y", "z"}, {-3.0, -2.0, -4.0}}};
  EXPECT_EQ(verdict(agreement(a, broken)), AgreementVerdict::kDifferent);
}

TEST(Agreement, WithoutTokensBytesAreCompared) {
  const std::vector<GreedyAnswer> a = {{"The sky is blue.", {}, {}}};
  const std::vector<GreedyAnswer> b = {{"The sky is wide.", {"The sky", " is wide."}, {-1, -1}}};
  const Agreement result = agreement(a, b);
  EXPECT_FALSE(result.by_tokens);
  EXPECT_EQ(result.first_difference, 11);
  EXPECT_EQ(result.compared_logprobs, 0);
  EXPECT_EQ(verdict(result), AgreementVerdict::kRounding);
  EXPECT_EQ(verdict(agreement(a, {{"Qwxz", {}, {}}})), AgreementVerdict::kDifferent);
}

TEST(Agreement, AShorterAnswerIsAnother) {
  const Agreement result = agreement({{"ab", {"a", "b"}, {}}}, {{"a", {"a"}, {}}});
  EXPECT_EQ(result.identical, 0);
  EXPECT_EQ(result.first_difference, 1);
  EXPECT_EQ(result.same_share, 0.5);
}

}  // namespace
}  // namespace mica

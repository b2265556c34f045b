#include "bench/run/workload_record.h"

#include <gtest/gtest.h>

namespace mica {
namespace {

WorkloadRecord record_of(const BenchPoint& point, bool private_texts = false) {
  const Workload workload(point.workload, nullptr,
                          point.items ? *point.items : std::vector<DatasetItem>());
  return workload_record(point, {}, workload.conversations(0, point.conversations()),
                         private_texts);
}

TEST(WorkloadRecord, HasThePromptsAsTheyWereSent) {
  BenchPoint point;
  point.workload.prompts = {"my very own text", "another"};
  point.workload.system = "Be short.";
  point.requests = 3;
  point.pictures = {{"chart.png", "data:image/png;base64,AAAA", "abc", 3}};
  const WorkloadRecord record = record_of(point);
  ASSERT_EQ(record.prompts.size(), 4u);
  EXPECT_EQ(record.prompts[0].role, "system");
  EXPECT_EQ(record.prompts[0].text, "Be short.");
  for (int64_t i = 0; i < 3; ++i) {
    const Workload workload(point.workload, nullptr);
    const PromptRecord& prompt = record.prompts[static_cast<size_t>(i) + 1];
    EXPECT_EQ(prompt.text, workload.conversation(i).turns[0].user);
    EXPECT_EQ(prompt.bytes, prompt.text.size());
    EXPECT_EQ(prompt.sha256.size(), 64u);
  }
  EXPECT_TRUE(record.prompts[1].text.ends_with("my very own text"));
  EXPECT_EQ(record.pictures, (std::vector<PictureRecord>{{"chart.png", "abc", 3}}));
}

TEST(WorkloadRecord, OfLongTextsKeepsTheFirstPart) {
  BenchPoint point;
  std::string text;
  while (text.size() < kKeptTexts / 2) text += "ä";  // two bytes: 80 is no place within one
  point.workload.prompts = {"x" + text};
  point.workload.warm_cache = true;
  point.requests = 3;
  const WorkloadRecord record = record_of(point);
  ASSERT_EQ(record.prompts.size(), 3u);
  EXPECT_EQ(record.prompts[0].text, "x" + text);
  EXPECT_EQ(record.prompts[1].text, ("x" + text).substr(0, 79));
  EXPECT_EQ(record.prompts[1].bytes, text.size() + 1);
  EXPECT_EQ(record.prompts[1].sha256, record.prompts[0].sha256);
}

TEST(WorkloadRecord, OfMadePromptsKeepsWhatMakesThemAgain) {
  BenchPoint point;
  point.workload = {.input_tokens = 32, .output_tokens = 8, .spread = 0.5, .seed = 7};
  const WorkloadRecord record = record_of(point);
  EXPECT_TRUE(record.prompts.empty());
  EXPECT_EQ(record.seed, 7u);
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"prompts", "made from the seed"},
      {"input_tokens", "32"},
      {"output_tokens", "8"},
      {"spread", "0.5"},
      {"turns", "1"},
      {"shared_tokens", "0"},
      {"shared_groups", "1"},
      {"chat", "true"}};
  EXPECT_EQ(record.more, expected);
}

TEST(WorkloadRecord, OfAPrivateRunHasNoText) {
  BenchPoint point;
  point.workload.prompts = {"my very own text"};
  point.pictures = {{"passport.png", "data:image/png;base64,AAAA", "abc", 3}};
  const WorkloadRecord record = record_of(point, true);
  ASSERT_FALSE(record.prompts.empty());
  EXPECT_TRUE(record.is_private);
  EXPECT_TRUE(record.prompts[0].text.empty());
  EXPECT_FALSE(record.prompts[0].sha256.empty());
  EXPECT_EQ(record.pictures, (std::vector<PictureRecord>{{"", "abc", 3}}));
}

TEST(WorkloadRecord, NaturalAnswersHaveNoExactLength) {
  BenchPoint point;
  PlanDialect dialect;
  dialect.ignore_eos = true;
  EXPECT_TRUE(workload_record(point, dialect, {}, false).exact_output);
  point.workload.natural = true;
  EXPECT_FALSE(workload_record(point, dialect, {}, false).exact_output);
}

}  // namespace
}  // namespace mica

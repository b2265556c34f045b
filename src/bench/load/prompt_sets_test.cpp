#include "bench/load/prompt_sets.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "bench/load/picture.h"
#include "bench/load/workload.h"
#include "temp_folder.h"
#include "test_data.h"

namespace mica {
namespace {

const TextModel& demo() {
  static const TextModel text(source_path("models/demo"), {});
  return text;
}

TEST(PromptSets, AreThereByTheirNames) {
  EXPECT_GE(prompt_set("text").size(), 12u);
  EXPECT_EQ(prompt_set("text", 3).size(), 3u);
  for (const DatasetItem& item : prompt_set("text")) EXPECT_GT(item.turns[0].user.size(), 40u);
  for (const DatasetItem& item : prompt_set("vision")) {
    ASSERT_EQ(item.images.size(), 1u);
    EXPECT_TRUE(read_picture(item.images[0]).url.starts_with("data:image/png;base64,"));
  }
}

TEST(PromptSets, AFileIsOneToo) {
  const TempFolder folder;
  const std::string path = (folder.path() / "mine.jsonl").string();
  std::ofstream(path) << R"({"prompt": "Why is the sky blue?"})"
                      << "\n";
  ASSERT_EQ(prompt_set(path).size(), 1u);
  EXPECT_EQ(prompt_set(path)[0].turns[0].user, "Why is the sky blue?");
  EXPECT_THROW(prompt_set("no-such-set"), Error);
}

// The fact stands where it is said to, the question at the end, and the length is the tokenizer's.
TEST(PromptSets, LongTextsHaveTheirLengthAndTheirFact) {
  const std::vector<DatasetItem> items = prompt_set("long-context", 3);
  const Workload workload({.output_tokens = 16}, &demo(), items);
  const PromptMaker maker(&demo());
  for (int64_t i = 0; i < 3; ++i) {
    const DatasetItem& item = items[static_cast<size_t>(i)];
    const Conversation conversation = workload.conversation(i);
    const WorkTurn& turn = conversation.turns[0];
    EXPECT_EQ(maker.rendered_tokens(turn.user, ""), turn.input_tokens);
    EXPECT_LE(turn.input_tokens, item.input_tokens);
    EXPECT_GE(turn.input_tokens, item.input_tokens - 128);
    const size_t at = turn.user.find(item.fact);
    ASSERT_NE(at, turn.user.npos);
    EXPECT_EQ(turn.user.find(item.fact, at + 1), turn.user.npos);
    EXPECT_NEAR(static_cast<double>(at) / static_cast<double>(turn.user.size()), item.depth, 0.05);
    EXPECT_TRUE(turn.user.ends_with(item.turns[0].user));
    EXPECT_NE(item.fact.find(item.expected), item.fact.npos);
    EXPECT_EQ(conversation.expected, item.expected);
  }
  EXPECT_NE(workload.conversation(0).turns[0].user, workload.conversation(3).turns[0].user);
}

TEST(PromptSets, WithoutATokenizerLengthsAreEstimates) {
  const Workload workload({}, nullptr, prompt_set("long-context", 1));
  const WorkTurn turn = workload.conversation(0).turns[0];
  EXPECT_EQ(turn.input_tokens, -1);
  EXPECT_GT(turn.user.size(), 4096u * 4);
}

TEST(PromptSets, AFactNeedsAQuestionAndALength) {
  for (const char* line :
       {R"({"fact": "a", "input_tokens": 100})", R"({"fact": "a", "prompt": "b"})",
        R"({"fact": "a", "prompt": "b", "input_tokens": 9, "depth": 2})"})
    EXPECT_THROW(parse_dataset(line, DatasetFormat::kJsonLines, "here"), Error) << line;
  const auto items = parse_dataset(R"({"fact": "a b c d", "prompt": "b", "input_tokens": 3})",
                                   DatasetFormat::kJsonLines, "here");
  EXPECT_THROW(Workload({}, nullptr, items).conversation(0), Error);
}

}  // namespace
}  // namespace mica

#include "bench/load/workload.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "test_data.h"

namespace mica {
namespace {

const TextModel& demo() {
  static const TextModel text(source_path("models/demo"), {});
  return text;
}

int64_t chat_tokens(const Conversation& conversation) {
  static const PromptMaker maker(&demo());
  return maker.rendered_tokens(conversation.turns[0].user, conversation.system);
}

TEST(Workload, PromptsHaveTheirTokensAndNoTwoAreAlike) {
  const Workload workload({.input_tokens = 100, .output_tokens = 20}, &demo());
  std::set<std::string> begins;
  for (int64_t i = 0; i < 50; ++i) {
    const Conversation conversation = workload.conversation(i);
    ASSERT_EQ(conversation.turns.size(), 1u);
    EXPECT_EQ(chat_tokens(conversation), 100);
    EXPECT_EQ(conversation.turns[0].input_tokens, 100);
    EXPECT_EQ(conversation.turns[0].output_tokens, 20);
    begins.insert(conversation.turns[0].user.substr(0, 24));
  }
  EXPECT_EQ(begins.size(), 50u);
  EXPECT_TRUE(workload.exact_input());
  EXPECT_EQ(workload.conversation(7).turns[0].user, workload.conversation(7).turns[0].user);
}

TEST(Workload, LengthsVaryWithinTheirSpread) {
  const Workload workload({.input_tokens = 100, .output_tokens = 50, .spread = 0.2}, &demo());
  std::set<int64_t> inputs, outputs;
  for (int64_t i = 0; i < 300; ++i) {
    const Conversation conversation = workload.conversation(i);
    EXPECT_EQ(chat_tokens(conversation), conversation.turns[0].input_tokens);
    inputs.insert(conversation.turns[0].input_tokens);
    outputs.insert(conversation.turns[0].output_tokens);
  }
  EXPECT_EQ(*inputs.begin(), 80);
  EXPECT_EQ(*inputs.rbegin(), 100);
  EXPECT_EQ(*outputs.begin(), 40);
  EXPECT_EQ(*outputs.rbegin(), 50);
}

TEST(Workload, AGroupSharesItsBeginning) {
  const Workload workload({.input_tokens = 200, .shared_tokens = 100, .shared_groups = 2}, &demo());
  const std::string a = workload.conversation(0).turns[0].user;
  const std::string b = workload.conversation(1).turns[0].user;
  const std::string c = workload.conversation(2).turns[0].user;
  EXPECT_EQ(workload.conversation(2).group, "prefix 0");
  const auto common = [](const std::string& x, const std::string& y) {
    return static_cast<size_t>(std::mismatch(x.begin(), x.end(), y.begin(), y.end()).first -
                               x.begin());
  };
  EXPECT_GT(common(a, c), 300u);
  EXPECT_LT(common(a, b), 20u);
  EXPECT_EQ(chat_tokens(workload.conversation(1)), 200);
}

TEST(Workload, AWarmCacheSeesThePromptAgain) {
  WorkloadOptions options{.input_tokens = 64, .warm_cache = true};
  EXPECT_EQ(Workload(options, &demo()).conversation(0).turns[0].user,
            Workload(options, &demo()).conversation(9).turns[0].user);
  options = {.prompts = {"What is time?"}};
  const Workload cold(options, nullptr);
  EXPECT_NE(cold.conversation(0).turns[0].user, cold.conversation(1).turns[0].user);
  EXPECT_TRUE(cold.conversation(0).turns[0].user.ends_with("What is time?"));
  options.warm_cache = true;
  EXPECT_EQ(Workload(options, nullptr).conversation(3).turns[0].user, "What is time?");
  EXPECT_EQ(Workload(options, nullptr).conversation(-3).turns[0].user, "What is time?");
}

TEST(Workload, TurnsCarryWhatWasSaidBefore) {
  const Workload workload({.input_tokens = 80,
                           .turns = 3,
                           .system = "Be brief.",
                           .images = {"data:image/png;base64,AA=="}},
                          &demo());
  const Conversation conversation = workload.conversation(4);
  ASSERT_EQ(conversation.turns.size(), 3u);
  const RequestContent content = turn_content(conversation, /*chat=*/true, 2, {"one", "two"});
  ASSERT_EQ(content.messages.size(), 6u);
  EXPECT_EQ(content.messages[0].role, "system");
  ASSERT_EQ(content.messages[1].parts.size(), 2u);
  EXPECT_EQ(content.messages[1].parts[0].text, conversation.turns[0].user);  // its own words first
  EXPECT_FALSE(content.messages[1].parts[1].image_url.empty());
  EXPECT_EQ(content.messages[2].parts[0].text, "one");
  EXPECT_EQ(content.messages[4].parts[0].text, "two");
  EXPECT_EQ(content.messages[5].parts[0].text, conversation.turns[2].user);
  EXPECT_EQ(content.max_tokens, conversation.turns[2].output_tokens);
}

TEST(Workload, TracesKeepTheirLengthsAndEqualBlocks) {
  const auto items = parse_dataset(
      "{\"timestamp\": 0, \"input_length\": 1600, \"output_length\": 5, \"hash_ids\": [1, 2, 3]}\n"
      "{\"timestamp\": 500, \"input_length\": 1400, \"output_length\": 6, \"hash_ids\": [1, 2, "
      "9]}\n",
      DatasetFormat::kMooncake, "trace");
  const Workload workload({}, &demo(), items);
  const Conversation a = workload.conversation(0), b = workload.conversation(1);
  EXPECT_EQ(chat_tokens(a), 1600);
  EXPECT_EQ(chat_tokens(b), 1400);
  EXPECT_EQ(b.time, 0.5);
  EXPECT_EQ(b.turns[0].output_tokens, 6);
  EXPECT_EQ(a.turns[0].user.substr(0, 2000), b.turns[0].user.substr(0, 2000));
}

TEST(Workload, TheHashTellsOtherWork) {
  const Workload workload({.input_tokens = 32}, &demo());
  const std::string hash = hash_of(workload.conversations(0, 3));
  EXPECT_EQ(hash.size(), 16u);
  EXPECT_EQ(hash, hash_of(workload.conversations(0, 3)));
  EXPECT_NE(hash, hash_of(workload.conversations(1, 3)));
  EXPECT_NE(
      hash,
      hash_of(Workload({.input_tokens = 32, .output_tokens = 9}, &demo()).conversations(0, 3)));
}

TEST(Workload, WhatContradictsIsRefused) {
  for (const WorkloadOptions& options :
       {WorkloadOptions{.input_tokens = 0}, WorkloadOptions{.output_tokens = 0},
        WorkloadOptions{.spread = 1}, WorkloadOptions{.chat = false, .turns = 2},
        WorkloadOptions{.input_tokens = 10, .shared_tokens = 10},
        WorkloadOptions{.shared_groups = 0}})
    EXPECT_THROW(Workload(options, nullptr), Error);
}

TEST(Workload, PicturesAreForChatsAlone) {
  const WorkloadOptions options = {.chat = false, .images = {"https://example.com/a.png"}};
  EXPECT_THROW(Workload(options, nullptr), Error);
  DatasetItem item;
  item.turns.push_back({.user = "What is this?"});
  item.images = options.images;
  EXPECT_THROW(Workload({.chat = false}, nullptr, {item}), Error);
  EXPECT_EQ(Workload({}, nullptr, {item}).conversation(0).images, options.images);
}

TEST(Workload, NaturalAnswersAreNotForced) {
  const Conversation forced = Workload({}, nullptr).conversation(0);
  const Conversation natural = Workload({.natural = true}, nullptr).conversation(0);
  EXPECT_TRUE(turn_content(forced, true, 0, {}).exact_length);
  EXPECT_FALSE(turn_content(natural, true, 0, {}).exact_length);
  EXPECT_EQ(*turn_content(natural, true, 0, {}).max_tokens, 128);
}

TEST(Workload, ADepthIsThePrefixOfThePrompt) {
  const Workload workload({.input_tokens = 40, .output_tokens = 8, .depth = 300}, &demo());
  const PromptMaker maker(&demo());
  const Conversation first = workload.conversation(0), second = workload.conversation(1);
  EXPECT_TRUE(first.turns[0].user.starts_with(first.prime));
  EXPECT_EQ(first.turns[0].input_tokens, 340);
  EXPECT_EQ(chat_tokens(first), 340);
  EXPECT_NEAR(static_cast<double>(maker.tokens(first.prime)), 300, 2);
  EXPECT_NE(first.prime.substr(0, 24), second.prime.substr(0, 24));
  const RequestContent prime = prime_content(first, true);
  EXPECT_EQ(*prime.max_tokens, 1);
  EXPECT_EQ(prime.messages.back().parts[0].text, first.prime);
  EXPECT_THROW(Workload({.turns = 2, .depth = 300}, nullptr), Error);
  EXPECT_THROW(Workload({.depth = 300, .prompts = {"a"}}, nullptr), Error);
}

}  // namespace
}  // namespace mica

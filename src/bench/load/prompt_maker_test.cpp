#include "bench/load/prompt_maker.h"

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

TEST(PromptMaker, TextsHaveTheTokensThatWereAskedFor) {
  const PromptMaker maker(&demo());
  for (const int64_t tokens : {1, 2, 7, 64, 1000})
    for (uint64_t key = 0; key < 20; ++key)
      EXPECT_EQ(demo().tokenizer().encode(maker.text(tokens, key), false).size(),
                static_cast<size_t>(tokens));
}

TEST(PromptMaker, ChatsHaveTheTokensThatWereAskedForWithTheirTemplate) {
  const PromptMaker maker(&demo());
  const int64_t around = maker.rendered_tokens("", "");
  EXPECT_GT(around, 0);
  for (const int64_t tokens : {around + 1, around + 50, int64_t{1000}})
    for (const char* system : {"", "Be brief."}) {
      const int64_t least = maker.rendered_tokens("", system) + 1;
      if (tokens < least) continue;
      EXPECT_EQ(maker.rendered_tokens(maker.user_text(tokens, 3, system), system), tokens);
    }
}

TEST(PromptMaker, TextsDifferFromTheirFirstWordsOn) {
  const PromptMaker maker(&demo());
  std::set<std::string> begins;
  for (uint64_t key = 0; key < 1000; ++key) begins.insert(maker.text(64, key).substr(0, 40));
  EXPECT_EQ(begins.size(), 1000u);
  EXPECT_EQ(maker.text(64, 5), maker.text(64, 5));
}

TEST(PromptMaker, TooShortForItsTemplate) {
  const PromptMaker maker(&demo());
  EXPECT_THROW(maker.user_text(maker.rendered_tokens("", "") - 1, 0), Error);
}

TEST(PromptMaker, WithoutATokenizerAWordIsATokenAndNothingIsExact) {
  const PromptMaker maker(nullptr);
  EXPECT_FALSE(maker.exact());
  EXPECT_EQ(maker.rendered_tokens("Hi", ""), -1);
  const std::string text = maker.user_text(10, 1);
  EXPECT_EQ(std::count(text.begin(), text.end(), ' '), 9);
}

}  // namespace
}  // namespace mica

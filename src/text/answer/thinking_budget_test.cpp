#include "text/answer/thinking_budget.h"

#include <gtest/gtest.h>

#include <random>

namespace mica {
namespace {

// Lets `tokens` come as a model would write them, forced ones in their place; returns what came.
std::vector<int32_t> follow(ThinkingBudget& budget, const std::vector<int32_t>& tokens, int count) {
  std::vector<int32_t> came;
  size_t next = 0;
  for (int i = 0; i < count; ++i) {
    const auto forced = budget.forced();
    came.push_back(forced ? *forced : tokens[next % tokens.size()]);
    if (!forced) ++next;
    budget.accept(came.back());
  }
  return came;
}

using Tokens = std::vector<int32_t>;

TEST(ThinkingBudget, ForcesTheEndOnceSpent) {
  ThinkingBudget budget({.open = {1}, .close = {2}, .forced_close = {10, 2, 11}, .budget = 3});
  EXPECT_EQ(follow(budget, {5, 1, 6}, 4), (Tokens{5, 1, 6, 5}));
  EXPECT_TRUE(budget.in_reasoning());
  EXPECT_EQ(budget.spent(), 2);
  budget.accept(7);
  EXPECT_EQ(budget.forced(), 10);
  EXPECT_EQ(follow(budget, {9}, 5), (Tokens{10, 2, 11, 9, 9}));
  EXPECT_FALSE(budget.in_reasoning());
  EXPECT_EQ(budget.spent(), 3);
  // A second block has nothing left.
  EXPECT_EQ(follow(budget, {1, 4}, 5), (Tokens{1, 10, 2, 11, 4}));
}

TEST(ThinkingBudget, AnEndInTimeIsLeftAlone) {
  ThinkingBudget budget({.open = {},
                         .close = {2, 3},
                         .forced_close = {2, 3},
                         .budget = 2,
                         .starts_in_reasoning = true});
  // 2 may begin the end: it is no thought until the next token shows that it was.
  EXPECT_EQ(follow(budget, {7, 2, 3, 8, 8, 8}, 6), (Tokens{7, 2, 3, 8, 8, 8}));
  EXPECT_EQ(budget.spent(), 1);
  ThinkingBudget other({.open = {},
                        .close = {2, 3},
                        .forced_close = {2, 3},
                        .budget = 2,
                        .starts_in_reasoning = true});
  EXPECT_EQ(follow(other, {2, 2, 5, 6}, 5), (Tokens{2, 2, 5, 2, 3}));
  EXPECT_EQ(other.spent(), 3);
}

TEST(ThinkingBudget, NoThoughtAtAll) {
  ThinkingBudget opened(
      {.open = {1}, .close = {2}, .forced_close = {2}, .budget = 0, .starts_in_reasoning = true});
  EXPECT_EQ(opened.forced(), 2);
  ThinkingBudget closed({.open = {1, 4}, .close = {2}, .forced_close = {2}, .budget = 0});
  EXPECT_EQ(follow(closed, {1, 1, 4, 8}, 5), (Tokens{1, 1, 4, 2, 8}));
}

TEST(ThinkingBudget, RollbackIsAsIfTheTokensHadNeverCome) {
  const ThinkingBudget::Options options{
      .open = {1, 1, 2}, .close = {2, 1}, .forced_close = {3, 2, 1}, .budget = 4};
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    ThinkingBudget budget(options);
    Tokens kept;
    for (int i = 0; i < 40; ++i) {
      if (random() % 4 == 0) {
        const size_t back = random() % (kept.size() + 1);
        budget.rollback(static_cast<int64_t>(back));
        kept.resize(kept.size() - back);
      }
      const auto forced = budget.forced();
      kept.push_back(forced ? *forced : static_cast<int32_t>(random() % 4));
      budget.accept(kept.back());
      ThinkingBudget fresh(options);
      for (int32_t token : kept) fresh.accept(token);
      ASSERT_EQ(fresh.forced(), budget.forced());
      ASSERT_EQ(fresh.in_reasoning(), budget.in_reasoning());
      ASSERT_EQ(fresh.spent(), budget.spent());
    }
  }
}

}  // namespace
}  // namespace mica

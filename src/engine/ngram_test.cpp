#include "engine/ngram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace mica {
namespace {

using Tokens = std::vector<int32_t>;

TEST(Ngram, ProposesWhatFollowed) {
  NgramIndex index(2, 4);
  EXPECT_EQ(index.propose(Tokens{1}, 3), Tokens{});
  EXPECT_EQ(index.propose(Tokens{1, 2}, 3), Tokens{});
  EXPECT_EQ(index.propose(Tokens{1, 2, 3, 4, 1}, 3), Tokens{});
  EXPECT_EQ(index.propose(Tokens{1, 2, 3, 4, 1, 2}, 3), (Tokens{3, 4, 1}));
  EXPECT_EQ(index.propose(Tokens{1, 2, 3, 4, 1, 2}, 1), Tokens{3});
  EXPECT_EQ(index.propose(Tokens{1, 2, 3, 4, 1, 2}, 9), (Tokens{3, 4, 1, 2, 3, 4, 1, 2, 3}));
  EXPECT_EQ(index.propose(Tokens{1, 2, 3, 4, 1, 2, 9}, 9), Tokens{});
}

TEST(Ngram, TheLongestMatchWinsThenTheLatest) {
  NgramIndex longest(1, 4);
  EXPECT_EQ(longest.propose(Tokens{7, 8, 1, 0, 8, 2, 7, 8}, 1), Tokens{1});
  NgramIndex latest(1, 1);
  EXPECT_EQ(latest.propose(Tokens{7, 8, 1, 0, 8, 2, 7, 8}, 1), Tokens{2});
}

TEST(Ngram, AgreesWithASearchOverRandomTexts) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    const int32_t least = 1 + static_cast<int32_t>(seed % 3), most = least + 2;
    NgramIndex index(least, most);
    Tokens tokens;
    for (int i = 0; i < 90; ++i) {
      for (uint32_t n = 1 + random() % 3; n > 0; --n)
        tokens.push_back(static_cast<int32_t>(random() % 5));
      Tokens expected;
      const auto length = static_cast<int32_t>(tokens.size());
      for (int32_t n = most; n >= least && expected.empty(); --n)
        for (int32_t end = length - 1; end >= n && expected.empty(); --end)
          if (std::equal(tokens.end() - n, tokens.end(), tokens.begin() + end - n))
            for (int32_t i = 0; i < 3; ++i)
              expected.push_back(tokens[static_cast<size_t>(end + i % (length - end))]);
      const Tokens found = index.propose(tokens, 3);
      // Of many occurrences only the latest are compared.
      if (length < 40) {
        ASSERT_EQ(found, expected);
      }
      ASSERT_EQ(found.empty(), expected.empty());
    }
  }
}

TEST(Ngram, OneTokenRepeatedIsNoTrap) {
  NgramIndex index(2, 3);
  const Tokens tokens(100000, 4);
  for (size_t length = 90000; length < 90100; ++length)
    EXPECT_EQ(index.propose(std::span(tokens).first(length), 3), (Tokens{4, 4, 4}));
}

}  // namespace
}  // namespace mica

#include "server/answer_constraint.h"

#include <gtest/gtest.h>

#include <set>

namespace mica {
namespace {

using Phase = AnswerConstraint::Phase;

// 0 "yes", 1 "no", 2 "</think>", 3 "<think>", 4 the end, 5 "hm", 6 "think>", 7 "</".
std::shared_ptr<const TokenVocabulary> vocabulary() {
  return std::make_shared<const TokenVocabulary>(
      std::vector<std::string>{"yes", "no", "</think>", "<think>", "<end>", "hm", "think>", "</"},
      std::vector<int32_t>{4},
      std::vector<bool>{false, false, true, true, true, false, false, false});
}

AnswerConstraint::Options options(Phase begin) {
  AnswerConstraint::Options out;
  out.vocabulary = vocabulary();
  GrammarCompiler compiler(out.vocabulary);
  out.grammar = compiler.compile({.kind = GrammarSpec::Kind::kChoice, .choices = {"yes", "no"}});
  out.begin = begin;
  out.open = 3;
  out.close = "</think>";
  return out;
}

using Tokens = std::set<int32_t>;
Tokens allowed(AnswerConstraint& constraint) {
  uint32_t word = 0;
  if (!constraint.mask({&word, 1})) word = 0xff;
  Tokens out;
  for (int32_t t = 0; t < 32; ++t)
    if (word >> t & 1) out.insert(t);
  return out;
}

TEST(AnswerConstraint, TextFollowsTheGrammar) {
  AnswerConstraint constraint(options(Phase::kText));
  EXPECT_EQ(allowed(constraint), Tokens({0, 1}));
  constraint.accept(0);
  EXPECT_EQ(allowed(constraint), Tokens({4}));
  constraint.accept(4);
  EXPECT_EQ(allowed(constraint).size(), 8u);
}

TEST(AnswerConstraint, ReasoningIsFreeAndDoesNotEndTheAnswer) {
  AnswerConstraint constraint(options(Phase::kReasoning));
  EXPECT_EQ(allowed(constraint), Tokens({0, 1, 2, 3, 5, 6, 7}));
  constraint.accept(5);
  constraint.accept(2);
  EXPECT_EQ(allowed(constraint), Tokens({0, 1}));
  constraint.rollback(1);
  EXPECT_EQ(allowed(constraint).size(), 7u);
  // The marker in pieces.
  constraint.accept(7);
  EXPECT_EQ(allowed(constraint).size(), 7u);
  constraint.accept(6);
  EXPECT_EQ(allowed(constraint), Tokens({0, 1}));
}

TEST(AnswerConstraint, MayBeginWithReasoning) {
  AnswerConstraint constraint(options(Phase::kMayReason));
  EXPECT_EQ(allowed(constraint), Tokens({0, 1, 3}));
  constraint.accept(3);
  EXPECT_EQ(allowed(constraint).size(), 7u);
  constraint.rollback(1);
  constraint.accept(1);
  EXPECT_EQ(allowed(constraint), Tokens({4}));
  constraint.rollback(1);
  EXPECT_EQ(allowed(constraint), Tokens({0, 1, 3}));
}

TEST(AnswerConstraint, ABudgetEndsTheReasoning) {
  AnswerConstraint::Options o = options(Phase::kReasoning);
  o.budget = ThinkingBudget::Options{
      .open = {3}, .close = {2}, .forced_close = {2, 5}, .budget = 2, .starts_in_reasoning = true};
  AnswerConstraint constraint(o);
  constraint.accept(5);
  EXPECT_EQ(allowed(constraint).size(), 7u);
  constraint.accept(5);
  EXPECT_EQ(allowed(constraint), Tokens({2}));
  constraint.accept(2);
  EXPECT_EQ(allowed(constraint), Tokens({5}));
  constraint.accept(5);  // layout behind the marker
  EXPECT_EQ(allowed(constraint), Tokens({0, 1}));
  constraint.rollback(3);
  EXPECT_EQ(allowed(constraint).size(), 7u);
  // Without a grammar nothing else limits.
  o.grammar = nullptr;
  AnswerConstraint alone(o);
  EXPECT_EQ(allowed(alone).size(), 8u);
  alone.accept(5);
  alone.accept(5);
  EXPECT_EQ(allowed(alone), Tokens({2}));
}

}  // namespace
}  // namespace mica

// Limits the tokens of one answer: a grammar, which begins where the reasoning ends, and a budget
// of reasoning.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/request.h"
#include "text/answer/thinking_budget.h"
#include "text/grammar/grammar.h"

namespace mica {

class AnswerConstraint final : public TokenConstraint {
 public:
  enum class Phase : uint8_t {
    kText,       // the grammar holds
    kReasoning,  // free until `close` has been written; the answer can't end before
    kMayReason,  // the first token begins the text, or is `open` and begins the reasoning
  };
  struct Options {
    std::shared_ptr<const TokenVocabulary> vocabulary;
    std::shared_ptr<const CompiledGrammar> grammar;  // null: only the budget limits
    std::optional<ThinkingBudget::Options> budget;
    Phase begin = Phase::kText;
    int32_t open = -1;  // kMayReason
    std::string close;  // kReasoning
  };
  explicit AnswerConstraint(Options options);

  bool mask(std::span<uint32_t> allowed) override;
  void accept(int32_t token) override;
  void rollback(int32_t tokens) override;

 private:
  struct State {
    Phase phase = Phase::kText;
    std::string tail;     // kReasoning: the end of the text so far, shorter than `close`
    int32_t matched = 0;  // accepts of the matcher so far
  };
  void accept_text(State& next, int32_t token, bool forced);
  void accept_reasoning(State& next, int32_t token);

  const Options options_;
  std::optional<GrammarMatcher> matcher_;
  std::optional<ThinkingBudget> budget_;
  std::vector<State> states_;  // before any token, then after each
};

}  // namespace mica

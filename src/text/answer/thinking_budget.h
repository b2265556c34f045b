// Ends a reasoning block that has taken its share of tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace mica {

// Follows the tokens of one answer. The markers are token ids: what the tokenizer makes of
// reasoning_markers(style).open, .close and .forced_close.
class ThinkingBudget {
 public:
  struct Options {
    std::vector<int32_t> open, close;   // open may be empty: only a block the prompt opened counts
    std::vector<int32_t> forced_close;  // forced one after another once the budget is spent
    int64_t budget = 0;                 // reasoning tokens of the answer, all blocks; markers free
    bool starts_in_reasoning = false;
  };
  explicit ThinkingBudget(Options options);

  // The token that must come next; nullopt: any.
  std::optional<int32_t> forced() const;
  void accept(int32_t token);
  void rollback(int64_t tokens);  // takes the last accepted tokens back
  bool in_reasoning() const { return states_.back().inside; }
  int64_t spent() const { return states_.back().spent; }

 private:
  struct State {
    int64_t spent = 0;     // reasoning tokens so far
    int32_t matched = 0;   // of the marker awaited: close inside, open outside
    int32_t forcing = -1;  // index into forced_close; -1: not forcing
    bool inside = false;
  };
  void check_spent(State& state) const;

  Options options_;
  std::vector<State> states_;  // before any token, then after each
};

}  // namespace mica

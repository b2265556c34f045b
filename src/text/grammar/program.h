// A grammar compiled: one byte automaton a rule, with edges that call other rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "text/grammar/expression.h"

namespace mica::grammar {

constexpr uint32_t kNoState = UINT32_MAX;
constexpr int32_t kUnproductive = INT32_MAX;
// Nested calls while a text is followed; deeper nesting is refused as if the grammar forbade it.
constexpr int32_t kMaxDepth = 1000;
// Nested calls that the shortest text may need.
constexpr int32_t kMaxNeed = 250;
constexpr size_t kMaxStates = 1'000'000;

struct ByteEdge {
  uint8_t lo, hi;
  uint32_t target;
};
struct CallEdge {
  uint32_t rule, target;
};
struct State {
  uint32_t bytes_begin = 0, bytes_end = 0;  // edges sorted by lo; they may overlap in large rules
  uint32_t calls_begin = 0, calls_end = 0;
  int32_t need = kUnproductive;  // the calls that must still nest to complete the rule from here
  bool accepting = false;
};
struct ProgramRule {
  uint32_t start = kNoState;
  int32_t rank = 0;  // a rule called before any byte of another has the greater rank
  bool nullable = false;
};

class Program {
 public:
  // Throws Error(kUsage): too large, left recursion that can't be rewritten, no text matches.
  explicit Program(Grammar grammar);

  const State& state(uint32_t id) const { return states_[id]; }
  const ProgramRule& rule(uint32_t id) const { return rules_[id]; }
  size_t rules() const { return rules_.size(); }
  uint32_t root() const { return root_; }
  std::span<const ByteEdge> bytes(const State& state) const {
    return {byte_edges_.data() + state.bytes_begin, byte_edges_.data() + state.bytes_end};
  }
  std::span<const CallEdge> calls(const State& state) const {
    return {call_edges_.data() + state.calls_begin, call_edges_.data() + state.calls_end};
  }
  // Completing the rule is all that is left.
  bool is_return(const State& state) const {
    return state.accepting && state.bytes_begin == state.bytes_end &&
           state.calls_begin == state.calls_end;
  }
  int32_t max_need() const { return max_need_; }
  size_t memory() const;

 private:
  friend class Assembler;
  void compute_need();
  void drop_unproductive();
  void compute_nullable();
  void order_rules(const Grammar& grammar);
  // Calls `visit(rule)` for each rule that may be called before a byte of `rule` is read.
  template <typename Visit>
  void left_calls(uint32_t rule, Visit visit) const;

  std::vector<State> states_;
  std::vector<ByteEdge> byte_edges_;
  std::vector<CallEdge> call_edges_;
  std::vector<ProgramRule> rules_;
  uint32_t root_ = 0;
  int32_t max_need_ = 0;
};

// Rewrites left recursion among rules into repetition, where the recursive symbol begins an
// alternative; other forms (behind something that may be empty) are left for Program to refuse.
void rewrite_left_recursion(Grammar& grammar);

}  // namespace mica::grammar

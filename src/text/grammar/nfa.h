// One rule as a nondeterministic automaton, and as the states of a Program.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "text/grammar/expression.h"
#include "text/grammar/program.h"

namespace mica::grammar {

struct Nfa {
  struct State {
    std::vector<uint32_t> empty;     // successors without text
    std::vector<ByteEdge> bytes;
    std::vector<CallEdge> calls;
  };
  std::vector<State> states;  // 0: start
  uint32_t final = 0;
};

// Builds the automata of all rules of a grammar. Small rules that don't call themselves are copied
// into their callers; large repeated parts become rules of their own.
class NfaBuilder {
 public:
  explicit NfaBuilder(const Grammar& grammar);
  // Rules are numbered as in the grammar, parts that became rules behind them.
  size_t rules() const { return bodies_.size(); }
  bool needed(size_t rule) const { return needed_[rule]; }
  Nfa build(size_t rule);  // marks the rules that it calls as needed

 private:
  int64_t size(ExprId expr);
  void measure(ExprId expr);
  void plan_inlining();
  void collect_calls(std::vector<std::vector<uint32_t>>& calls) const;
  uint32_t add_state();
  void add_empty(uint32_t from, uint32_t to);
  void build(ExprId expr, uint32_t from, uint32_t to, int depth);
  void build_class(const CodePoints& set, uint32_t from, uint32_t to);
  void build_repeat(const Expr& expr, uint32_t from, uint32_t to, int depth);
  void build_machine(const Machine& machine, uint32_t from, uint32_t to, int depth);
  void build_call(uint32_t rule, uint32_t from, uint32_t to, int depth);
  uint32_t rule_of(ExprId expr);

  const Grammar& grammar_;
  std::vector<ExprId> bodies_;      // by rule
  std::vector<bool> needed_, inline_;
  std::vector<int64_t> sizes_;      // by expression; -1: not yet known
  std::unordered_map<ExprId, uint32_t> expr_rules_;
  Nfa* nfa_ = nullptr;
  size_t total_ = 0;
};

}  // namespace mica::grammar

#include "text/grammar/program.h"

#include <algorithm>
#include <deque>
#include <unordered_set>

#include "base/error.h"
#include "text/grammar/assembler.h"
#include "text/grammar/nfa.h"

namespace mica::grammar {

Program::Program(Grammar grammar) {
  rewrite_left_recursion(grammar);
  NfaBuilder builder(grammar);
  Assembler assembler(*this, grammar.source);
  root_ = static_cast<uint32_t>(grammar.root);
  rules_.resize(builder.rules());
  // Building a rule may make others needed, before or behind it.
  for (bool found = true; found;) {
    found = false;
    for (size_t rule = 0; rule < builder.rules(); rule++) {
      rules_.resize(builder.rules());
      if (!builder.needed(rule) || rules_[rule].start != kNoState) continue;
      rules_[rule].start = assembler.add(builder.build(rule));
      found = true;
    }
  }
  rules_.resize(builder.rules());
  assembler.finish();
  compute_need();
  if (states_[rules_[root_].start].need >= kMaxNeed)
    throw Error(
        ErrorKind::kUsage,
        "{} no text can match: expected a rule '{}' that ends, found one that is impossible, "
        "calls itself without end or nests more than {} calls",
        grammar.source, grammar.rules[root_].name, kMaxNeed);
  drop_unproductive();
  compute_nullable();
  order_rules(grammar);
}

// The least fixed point of need(s) = 0 where accepting, else the least of need(t) over bytes and
// max(1 + need(callee), need(t)) over calls; from the ends backwards.
void Program::compute_need() {
  struct Dependent {
    uint32_t state, next;
  };
  std::vector<uint32_t> first(states_.size(), kNoState);
  std::vector<Dependent> links;
  const auto depend = [&](uint32_t on, uint32_t state) {
    links.push_back({state, first[on]});
    first[on] = static_cast<uint32_t>(links.size() - 1);
  };
  std::deque<uint32_t> pending;
  for (uint32_t s = 0; s < states_.size(); s++) {
    for (const ByteEdge& edge : bytes(states_[s])) depend(edge.target, s);
    for (const CallEdge& edge : calls(states_[s])) {
      depend(edge.target, s);
      depend(rules_[edge.rule].start, s);
    }
    if (states_[s].accepting) {
      states_[s].need = 0;
      pending.push_back(s);
    }
  }
  const auto need_of = [&](const State& state) {
    int32_t need = state.accepting ? 0 : kUnproductive;
    for (const ByteEdge& edge : bytes(state)) need = std::min(need, states_[edge.target].need);
    for (const CallEdge& edge : calls(state)) {
      const int32_t callee = states_[rules_[edge.rule].start].need;
      if (callee < kMaxNeed) need = std::min(need, std::max(1 + callee, states_[edge.target].need));
    }
    return need;
  };
  while (!pending.empty()) {
    const uint32_t s = pending.front();
    pending.pop_front();
    for (uint32_t link = first[s]; link != kNoState; link = links[link].next) {
      State& state = states_[links[link].state];
      if (state.need <= states_[s].need) continue;
      const int32_t need = need_of(state);
      if (need >= state.need) continue;
      state.need = need;
      pending.push_back(links[link].state);
    }
  }
}

// Edges into states from which nothing completes go; so a state with edges always has a way on.
void Program::drop_unproductive() {
  const auto productive = [&](uint32_t state) { return states_[state].need < kMaxNeed; };
  std::vector<ByteEdge> byte_edges;
  std::vector<CallEdge> call_edges;
  for (State& state : states_) {
    const auto begin_bytes = static_cast<uint32_t>(byte_edges.size());
    const auto begin_calls = static_cast<uint32_t>(call_edges.size());
    if (state.need < kMaxNeed) {
      max_need_ = std::max(max_need_, state.need);
      for (const ByteEdge& edge : bytes(state))
        if (productive(edge.target)) byte_edges.push_back(edge);
      for (const CallEdge& edge : calls(state))
        if (productive(edge.target) && productive(rules_[edge.rule].start))
          call_edges.push_back(edge);
    }
    state.bytes_begin = begin_bytes;
    state.bytes_end = static_cast<uint32_t>(byte_edges.size());
    state.calls_begin = begin_calls;
    state.calls_end = static_cast<uint32_t>(call_edges.size());
  }
  byte_edges.shrink_to_fit();
  call_edges.shrink_to_fit();
  byte_edges_ = std::move(byte_edges);
  call_edges_ = std::move(call_edges);
}

template <typename Visit>
void Program::left_calls(uint32_t rule, Visit visit) const {
  std::vector<uint32_t> pending{rules_[rule].start};
  std::unordered_set<uint32_t> seen{rules_[rule].start};
  while (!pending.empty()) {
    const State& state = states_[pending.back()];
    pending.pop_back();
    for (const CallEdge& edge : calls(state)) {
      visit(edge.rule, edge.target);
      if (rules_[edge.rule].nullable && seen.insert(edge.target).second)
        pending.push_back(edge.target);
    }
  }
}

void Program::compute_nullable() {
  std::vector<std::vector<uint32_t>> waiting(rules_.size());
  std::vector<uint32_t> pending;
  for (uint32_t rule = 0; rule < rules_.size(); rule++)
    if (rules_[rule].start != kNoState) pending.push_back(rule);
  while (!pending.empty()) {
    const uint32_t rule = pending.back();
    pending.pop_back();
    if (rules_[rule].nullable) continue;
    bool nullable = states_[rules_[rule].start].accepting;
    left_calls(rule, [&](uint32_t callee, uint32_t target) {
      if (rules_[callee].nullable)
        nullable |= states_[target].accepting;
      else
        waiting[callee].push_back(rule);
    });
    if (!nullable) continue;
    rules_[rule].nullable = true;
    pending.insert(pending.end(), waiting[rule].begin(), waiting[rule].end());
    waiting[rule].clear();
  }
}

void Program::order_rules(const Grammar& grammar) {
  std::vector<std::vector<uint32_t>> calls(rules_.size());
  std::vector<int32_t> open(rules_.size(), 0);
  for (uint32_t rule = 0; rule < rules_.size(); rule++) {
    if (rules_[rule].start == kNoState) continue;
    left_calls(rule, [&](uint32_t callee, uint32_t) { calls[rule].push_back(callee); });
    for (const uint32_t callee : calls[rule]) open[callee]++;
  }
  std::vector<uint32_t> ready;
  size_t done = 0;
  for (uint32_t rule = 0; rule < rules_.size(); rule++)
    if (open[rule] == 0) ready.push_back(rule);
  for (; !ready.empty(); done++) {
    const uint32_t rule = ready.back();
    ready.pop_back();
    for (const uint32_t callee : calls[rule]) {
      rules_[callee].rank = std::max(rules_[callee].rank, rules_[rule].rank + 1);
      if (--open[callee] == 0) ready.push_back(callee);
    }
  }
  if (done == rules_.size()) return;
  for (uint32_t rule = 0; rule < rules_.size(); rule++)
    if (open[rule] > 0 && rule < grammar.rules.size())
      throw Error(ErrorKind::kUsage,
                  "{} rule '{}': left recursion: it can call itself before any character is read, "
                  "behind something that may be empty; write it as a repetition",
                  grammar.source, grammar.rules[rule].name);
  throw Error(ErrorKind::kUsage, "{} left recursion inside a repetition", grammar.source);
}

size_t Program::memory() const {
  return states_.capacity() * sizeof(State) + byte_edges_.capacity() * sizeof(ByteEdge) +
         call_edges_.capacity() * sizeof(CallEdge) + rules_.capacity() * sizeof(ProgramRule);
}

}  // namespace mica::grammar

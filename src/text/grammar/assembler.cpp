#include "text/grammar/assembler.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/mix.h"

namespace mica::grammar {
namespace {

constexpr size_t kMaxEdges = 8'000'000;
// NFA states in the sets of one rule before it is left nondeterministic.
constexpr size_t kWorkPerState = 64, kWork = 100'000, kMaxWork = 8'000'000;
constexpr size_t kStatesPerState = 8, kStates = 20'000;  // of the determinized rule

}  // namespace

size_t Assembler::SetHash::operator()(const Set& set) const {
  uint64_t hash = set.size();
  for (const uint32_t state : set) hash = mix64(hash ^ (state + 0x9e3779b97f4a7c15u));
  return hash;
}

uint32_t Assembler::add(const Nfa& nfa) {
  base_ = program_.states_.size();
  const size_t bytes = program_.byte_edges_.size(), calls = program_.call_edges_.size();
  mark_.assign(nfa.states.size(), 0);
  round_ = 0;
  if (!determinize(nfa)) {
    program_.states_.resize(base_);
    program_.byte_edges_.resize(bytes);
    program_.call_edges_.resize(calls);
    keep(nfa);
  }
  check_size();
  known_.clear();
  sets_.clear();
  return static_cast<uint32_t>(base_);
}

void Assembler::check_size() const {
  if (program_.states_.size() > kMaxStates ||
      program_.byte_edges_.size() + program_.call_edges_.size() > kMaxEdges)
    throw Error(ErrorKind::kUsage, "{} too large: more than {} states or {} edges", source_,
                kMaxStates, kMaxEdges);
}

// The states reached without text that have edges or are final.
Assembler::Set Assembler::closure(const Nfa& nfa, Set pending) {
  Set out;
  round_++;
  for (const uint32_t state : pending) mark_[state] = round_;
  while (!pending.empty()) {
    const uint32_t id = pending.back();
    pending.pop_back();
    const Nfa::State& state = nfa.states[id];
    if (!state.bytes.empty() || !state.calls.empty() || id == nfa.final) out.push_back(id);
    for (const uint32_t next : state.empty) {
      work_++;
      if (mark_[next] == round_) continue;
      mark_[next] = round_;
      pending.push_back(next);
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

uint32_t Assembler::state_of(const Nfa& nfa, Set states) {
  std::sort(states.begin(), states.end());
  states.erase(std::unique(states.begin(), states.end()), states.end());
  Set set = closure(nfa, std::move(states));
  work_ += set.size();
  const auto id = static_cast<uint32_t>(program_.states_.size());
  const auto [it, fresh] = known_.try_emplace(std::move(set), id);
  if (fresh) {
    sets_.push_back(&it->first);
    program_.states_.emplace_back();
    program_.states_.back().accepting =
        std::binary_search(it->first.begin(), it->first.end(), nfa.final);
  }
  return it->second;
}

bool Assembler::determinize(const Nfa& nfa) {
  work_ = 0;
  const size_t budget = std::min(kWorkPerState * nfa.states.size() + kWork, kMaxWork);
  state_of(nfa, {0});
  for (size_t i = 0; i < sets_.size(); i++) {
    if (work_ > budget || sets_.size() > kStates + kStatesPerState * nfa.states.size() ||
        program_.states_.size() > kMaxStates / 2)
      return false;
    const auto state = static_cast<uint32_t>(base_ + i);
    program_.states_[state].bytes_begin = static_cast<uint32_t>(program_.byte_edges_.size());
    add_bytes(nfa, *sets_[i], state);
    program_.states_[state].bytes_end = static_cast<uint32_t>(program_.byte_edges_.size());
    program_.states_[state].calls_begin = static_cast<uint32_t>(program_.call_edges_.size());
    add_calls(nfa, *sets_[i], state);
    program_.states_[state].calls_end = static_cast<uint32_t>(program_.call_edges_.size());
  }
  return true;
}

// Sweeps over the bytes at which an edge begins or ends; equal neighbours become one edge.
void Assembler::add_bytes(const Nfa& nfa, const Set& set, uint32_t state) {
  std::vector<ByteEdge> edges;
  std::vector<uint32_t> cuts;
  for (const uint32_t id : set)
    for (const ByteEdge& edge : nfa.states[id].bytes) {
      edges.push_back(edge);
      cuts.push_back(edge.lo);
      cuts.push_back(edge.hi + 1u);
    }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  std::vector<Set> targets(cuts.size());
  for (const ByteEdge& edge : edges) {
    auto i =
        static_cast<size_t>(std::lower_bound(cuts.begin(), cuts.end(), edge.lo) - cuts.begin());
    for (; cuts[i] <= edge.hi; i++) targets[i].push_back(edge.target);
  }
  const size_t begin = program_.states_[state].bytes_begin;
  for (size_t i = 0; i + 1 < cuts.size(); i++) {
    if (targets[i].empty()) continue;
    const uint32_t target = state_of(nfa, std::move(targets[i]));
    const auto lo = static_cast<uint8_t>(cuts[i]), hi = static_cast<uint8_t>(cuts[i + 1] - 1);
    auto& out = program_.byte_edges_;
    if (out.size() > begin && out.back().target == target && out.back().hi + 1 == lo)
      out.back().hi = hi;
    else
      out.push_back({lo, hi, target});
  }
}

void Assembler::add_calls(const Nfa& nfa, const Set& set, uint32_t) {
  std::map<uint32_t, Set> targets;
  for (const uint32_t id : set)
    for (const CallEdge& edge : nfa.states[id].calls) targets[edge.rule].push_back(edge.target);
  for (auto& [rule, states] : targets)
    program_.call_edges_.push_back({rule, state_of(nfa, std::move(states))});
}

// One state for each of the automaton's, edges of what is reached without text included.
void Assembler::keep(const Nfa& nfa) {
  for (uint32_t id = 0; id < nfa.states.size(); id++) {
    State state;
    state.bytes_begin = static_cast<uint32_t>(program_.byte_edges_.size());
    state.calls_begin = static_cast<uint32_t>(program_.call_edges_.size());
    for (const uint32_t member : closure(nfa, {id})) {
      state.accepting |= member == nfa.final;
      for (const ByteEdge& edge : nfa.states[member].bytes)
        program_.byte_edges_.push_back(
            {edge.lo, edge.hi, static_cast<uint32_t>(base_ + edge.target)});
      for (const CallEdge& edge : nfa.states[member].calls)
        program_.call_edges_.push_back({edge.rule, static_cast<uint32_t>(base_ + edge.target)});
    }
    state.bytes_end = static_cast<uint32_t>(program_.byte_edges_.size());
    state.calls_end = static_cast<uint32_t>(program_.call_edges_.size());
    program_.states_.push_back(state);
    check_size();
  }
}

void Assembler::finish() {
  for (const State& state : program_.states_)
    std::stable_sort(program_.byte_edges_.begin() + state.bytes_begin,
                     program_.byte_edges_.begin() + state.bytes_end,
                     [](const ByteEdge& a, const ByteEdge& b) { return a.lo < b.lo; });
}

}  // namespace mica::grammar

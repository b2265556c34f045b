#include "text/grammar/char_dfa.h"

#include <algorithm>
#include <map>

#include "base/error.h"

namespace mica::grammar {
namespace {

constexpr size_t kMaxNfaStates = 400'000;
constexpr size_t kMaxWork = 10'000'000;

// Characters that no expression tells apart.
class Alphabet {
 public:
  void add(const CodePoints& set) {
    if (std::find(sets_.begin(), sets_.end(), set) == sets_.end()) sets_.push_back(set);
  }

  void build() {
    std::vector<uint32_t> cuts{0, kMaxCodePoint + 1};
    for (const CodePoints& set : sets_)
      for (const auto& [lo, hi] : set.ranges()) cuts.push_back(lo), cuts.push_back(hi + 1);
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    std::map<std::vector<bool>, std::vector<CodePoints::Range>> kinds;
    std::vector<bool> kind(sets_.size());
    for (size_t i = 0; i + 1 < cuts.size(); i++) {
      for (size_t s = 0; s < sets_.size(); s++) kind[s] = sets_[s].contains(cuts[i]);
      kinds[kind].push_back({cuts[i], cuts[i + 1] - 1});
    }
    members_.resize(sets_.size());
    for (auto& [signature, ranges] : kinds) {
      for (size_t s = 0; s < sets_.size(); s++)
        if (signature[s]) members_[s].push_back(static_cast<uint32_t>(classes_.size()));
      classes_.emplace_back(std::move(ranges));
    }
  }

  const std::vector<CodePoints>& classes() const { return classes_; }
  const std::vector<uint32_t>& members(const CodePoints& set) const {
    return members_[static_cast<size_t>(std::find(sets_.begin(), sets_.end(), set) -
                                        sets_.begin())];
  }

 private:
  std::vector<CodePoints> sets_, classes_;
  std::vector<std::vector<uint32_t>> members_;  // classes, by set
};

using Set = std::vector<uint32_t>;

class CharNfa {
 public:
  CharNfa(const Grammar& grammar, const Alphabet& alphabet, ExprId expr, const std::string& place)
      : grammar_(grammar), alphabet_(alphabet), place_(place) {
    const uint32_t start = add();
    final_ = add();
    build(expr, start, final_);
    seen_.assign(states_.size(), 0);
  }

  Set start() { return close({0}); }
  bool accepts(const Set& set) const { return std::binary_search(set.begin(), set.end(), final_); }
  // What follows each class, by class.
  void step(const Set& set, std::vector<Set>& out) const {
    for (const uint32_t state : set)
      for (const auto& [members, target] : states_[state].edges)
        for (const uint32_t c : *members) out[c].push_back(target);
  }

  Set close(Set pending) {
    Set out;
    round_++;
    while (!pending.empty()) {
      const uint32_t state = pending.back();
      pending.pop_back();
      if (seen_[state] == round_) continue;
      seen_[state] = round_;
      if (!states_[state].edges.empty() || state == final_) out.push_back(state);
      pending.insert(pending.end(), states_[state].empty.begin(), states_[state].empty.end());
    }
    std::sort(out.begin(), out.end());
    return out;
  }

 private:
  struct State {
    std::vector<std::pair<const std::vector<uint32_t>*, uint32_t>> edges;
    std::vector<uint32_t> empty;
  };

  uint32_t add() {
    if (states_.size() > kMaxNfaStates)
      throw Error(ErrorKind::kUsage, "{}: too large to combine with other constraints", place_);
    states_.emplace_back();
    return static_cast<uint32_t>(states_.size() - 1);
  }

  void build(ExprId id, uint32_t from, uint32_t to) {
    const Expr& expr = grammar_.exprs[static_cast<size_t>(id)];
    switch (expr.kind) {
      case ExprKind::kClass:
        return states_[from].edges.push_back({&alphabet_.members(expr.set), to});
      case ExprKind::kSequence:
        for (const ExprId child : expr.children) {
          const uint32_t next = add();
          build(child, from, next);
          from = next;
        }
        return states_[from].empty.push_back(to);
      case ExprKind::kChoice:
        for (const ExprId child : expr.children) build(child, from, to);
        return;
      case ExprKind::kMachine: return build_machine(*expr.machine, from, to);
      default: return build_repeat(expr, from, to);
    }
  }

  void build_repeat(const Expr& expr, uint32_t from, uint32_t to) {
    MICA_CHECK(expr.kind == ExprKind::kRepeat);
    const ExprId child = expr.children[0];
    uint32_t at = add();
    states_[from].empty.push_back(at);
    const int32_t count = expr.max == kNoMaximum ? expr.min + 1 : expr.max;
    for (int32_t i = 0; i < count; i++) {
      if (i >= expr.min) states_[at].empty.push_back(to);
      const uint32_t next = add();
      build(child, at, next);
      if (i == expr.min && expr.max == kNoMaximum) states_[next].empty.push_back(at);
      at = next;
    }
    states_[at].empty.push_back(to);
  }

  void build_machine(const Machine& machine, uint32_t from, uint32_t to) {
    std::vector<uint32_t> states;
    for (const bool accepting : machine.accepting) {
      states.push_back(add());
      if (accepting) states_[states.back()].empty.push_back(to);
    }
    states_[from].empty.push_back(states[0]);
    for (const Machine::Edge& edge : machine.edges)
      build(edge.expr, states[static_cast<size_t>(edge.from)],
            states[static_cast<size_t>(edge.to)]);
  }

  const Grammar& grammar_;
  const Alphabet& alphabet_;
  const std::string& place_;
  std::vector<State> states_;
  uint32_t final_ = 0;
  std::vector<uint32_t> seen_;
  uint32_t round_ = 0;
};

void collect_sets(const Grammar& grammar, ExprId id, Alphabet& alphabet) {
  const Expr& expr = grammar.exprs[static_cast<size_t>(id)];
  if (expr.kind == ExprKind::kClass) alphabet.add(expr.set);
  for (const ExprId child : expr.children) collect_sets(grammar, child, alphabet);
  if (expr.machine)
    for (const Machine::Edge& edge : expr.machine->edges)
      collect_sets(grammar, edge.expr, alphabet);
}

// Removes the states from which nothing is accepted.
CharDfa trimmed(CharDfa dfa) {
  std::vector<std::vector<uint32_t>> back(dfa.edges.size());
  std::vector<uint32_t> pending;
  std::vector<bool> useful(dfa.edges.size(), false);
  for (uint32_t s = 0; s < dfa.edges.size(); s++) {
    for (const CharDfa::Edge& edge : dfa.edges[s]) back[edge.target].push_back(s);
    if (dfa.accepting[s]) useful[s] = true, pending.push_back(s);
  }
  while (!pending.empty()) {
    const uint32_t state = pending.back();
    pending.pop_back();
    for (const uint32_t before : back[state])
      if (!useful[before]) useful[before] = true, pending.push_back(before);
  }
  for (auto& edges : dfa.edges)
    std::erase_if(edges, [&](const CharDfa::Edge& edge) { return !useful[edge.target]; });
  dfa.empty = !useful[0];
  return dfa;
}

}  // namespace

CharDfa intersect(const Grammar& grammar, const std::vector<CharTerm>& terms,
                  const std::string& place) {
  Alphabet alphabet;
  for (const CharTerm& term : terms) collect_sets(grammar, term.expr, alphabet);
  alphabet.build();
  std::vector<CharNfa> nfas;
  for (const CharTerm& term : terms) nfas.emplace_back(grammar, alphabet, term.expr, place);

  CharDfa out;
  std::map<std::vector<Set>, uint32_t> known;
  std::vector<const std::vector<Set>*> states;
  size_t work = 0;
  const auto state_of = [&](std::vector<Set> sets) {
    const auto [it, fresh] =
        known.try_emplace(std::move(sets), static_cast<uint32_t>(known.size()));
    if (fresh) {
      states.push_back(&it->first);
      bool accepting = true;
      for (size_t t = 0; t < terms.size(); t++)
        accepting &= nfas[t].accepts(it->first[t]) != terms[t].negated;
      out.accepting.push_back(accepting);
    }
    return it->second;
  };
  std::vector<Set> first;
  for (CharNfa& nfa : nfas) first.push_back(nfa.start());
  state_of(std::move(first));
  const size_t classes = alphabet.classes().size();
  for (size_t s = 0; s < states.size(); s++) {
    if (s > kMaxDfaStates || work > kMaxWork)
      throw Error(ErrorKind::kUsage, "{}: too complex to combine with other constraints", place);
    std::vector<std::vector<Set>> next(terms.size(), std::vector<Set>(classes));
    for (size_t t = 0; t < terms.size(); t++) nfas[t].step((*states[s])[t], next[t]);
    std::map<uint32_t, std::vector<CodePoints::Range>> edges;
    for (size_t c = 0; c < classes; c++) {
      std::vector<Set> sets;
      bool alive = true;
      for (size_t t = 0; t < terms.size(); t++) {
        work += next[t][c].size() + 1;
        sets.push_back(nfas[t].close(std::move(next[t][c])));
        work += sets.back().size();
        alive &= !sets.back().empty() || terms[t].negated;
      }
      if (!alive) continue;
      auto& ranges = edges[state_of(std::move(sets))];
      const auto& more = alphabet.classes()[c].ranges();
      ranges.insert(ranges.end(), more.begin(), more.end());
    }
    out.edges.emplace_back();
    for (auto& [target, ranges] : edges)
      out.edges.back().push_back({target, CodePoints(std::move(ranges))});
  }
  return trimmed(std::move(out));
}

bool CharDfa::matches(std::string_view text) const {
  std::vector<uint32_t> characters;
  if (empty || !decode_utf8(text, characters)) return false;
  uint32_t state = 0;
  for (const uint32_t c : characters) {
    const Edge* found = nullptr;
    for (const Edge& edge : edges[state])
      if (edge.set.contains(c)) found = &edge;
    if (!found) return false;
    state = found->target;
  }
  return accepting[state];
}

}  // namespace mica::grammar

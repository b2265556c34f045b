#include "text/grammar/nfa.h"

#include <algorithm>

#include "base/error.h"

namespace mica::grammar {
namespace {

constexpr int64_t kHuge = int64_t{1} << 40;
constexpr int64_t kInlineSize = 48;     // states of a rule that is copied into several callers
constexpr int64_t kInlineOnce = 20000;  // of one that has a single caller
constexpr int64_t kRepeatSize = 256;    // states of a repetition that is written out
constexpr int kInlineDepth = 8;

}  // namespace

NfaBuilder::NfaBuilder(const Grammar& grammar) : grammar_(grammar) {
  for (const Rule& rule : grammar.rules) bodies_.push_back(rule.body);
  sizes_.assign(grammar.exprs.size(), -1);
  inline_.assign(bodies_.size(), false);
  needed_.assign(bodies_.size(), false);
  needed_[static_cast<size_t>(grammar.root)] = true;
  plan_inlining();
}

// Children have smaller ids than their parents everywhere, so one pass over the ids would do; but
// rules' sizes must be known when an inlined call is measured, hence the recursion (bounded by the
// nesting that the parsers allow).
int64_t NfaBuilder::size(ExprId id) {
  if (id == kEmptyEdge) return 0;
  int64_t& known = sizes_[static_cast<size_t>(id)];
  if (known < 0) measure(id);
  return known;
}

void NfaBuilder::measure(ExprId id) {
  const Expr& expr = grammar_.exprs[static_cast<size_t>(id)];
  int64_t out = 1;
  switch (expr.kind) {
    case ExprKind::kBytes: out = static_cast<int64_t>(expr.bytes.size()); break;
    case ExprKind::kClass: out = 2 + static_cast<int64_t>(expr.set.ranges().size()); break;
    case ExprKind::kSequence:
    case ExprKind::kChoice:
      for (const ExprId child : expr.children) out += size(child);
      break;
    case ExprKind::kRepeat: {
      const int64_t count = std::max<int64_t>(1, expr.max == kNoMaximum ? expr.min + 1 : expr.max);
      const int64_t child = size(expr.children[0]);
      out = child * count <= kRepeatSize || count == 1 ? child * count : count;
      break;
    }
    case ExprKind::kRule:
      if (inline_[static_cast<size_t>(expr.rule)])
        out = size(bodies_[static_cast<size_t>(expr.rule)]);
      break;
    case ExprKind::kMachine:
      out = static_cast<int64_t>(expr.machine->accepting.size());
      for (const Machine::Edge& edge : expr.machine->edges) out += size(edge.expr);
      break;
  }
  sizes_[static_cast<size_t>(id)] = std::min(out, kHuge);
}

// calls[rule]: the rules that its body mentions, once for each mention.
void NfaBuilder::collect_calls(std::vector<std::vector<uint32_t>>& calls) const {
  calls.resize(bodies_.size());
  std::vector<uint32_t> seen(grammar_.exprs.size(), UINT32_MAX);
  for (uint32_t rule = 0; rule < bodies_.size(); rule++) {
    std::vector<ExprId> pending{bodies_[rule]};
    while (!pending.empty()) {
      const ExprId id = pending.back();
      pending.pop_back();
      if (id == kEmptyEdge || seen[static_cast<size_t>(id)] == rule) continue;
      seen[static_cast<size_t>(id)] = rule;
      const Expr& expr = grammar_.exprs[static_cast<size_t>(id)];
      if (expr.kind == ExprKind::kRule) calls[rule].push_back(static_cast<uint32_t>(expr.rule));
      pending.insert(pending.end(), expr.children.begin(), expr.children.end());
      if (expr.machine)
        for (const Machine::Edge& edge : expr.machine->edges) pending.push_back(edge.expr);
    }
  }
}

// Leaves of the call graph first: a rule is decided when all that it calls are. Rules on or above
// a cycle never come up and stay calls.
void NfaBuilder::plan_inlining() {
  std::vector<std::vector<uint32_t>> calls;
  collect_calls(calls);
  std::vector<std::vector<uint32_t>> callers(bodies_.size());
  std::vector<size_t> open(bodies_.size());
  std::vector<uint32_t> ready;
  for (uint32_t rule = 0; rule < bodies_.size(); rule++) {
    open[rule] = calls[rule].size();
    for (const uint32_t callee : calls[rule]) callers[callee].push_back(rule);
    if (open[rule] == 0) ready.push_back(rule);
  }
  while (!ready.empty()) {
    const uint32_t rule = ready.back();
    ready.pop_back();
    const int64_t states = size(bodies_[rule]);
    inline_[rule] = !grammar_.rules[rule].shared &&
                    states <= (callers[rule].size() <= 1 ? kInlineOnce : kInlineSize);
    for (const uint32_t caller : callers[rule])
      if (--open[caller] == 0) ready.push_back(caller);
  }
}

Nfa NfaBuilder::build(size_t rule) {
  Nfa nfa;
  nfa_ = &nfa;
  const uint32_t start = add_state();
  nfa.final = add_state();
  build(bodies_[rule], start, nfa.final, 0);
  return nfa;
}

uint32_t NfaBuilder::add_state() {
  if (++total_ > kMaxStates)
    throw Error(ErrorKind::kUsage,
                "{} too large: its rules have more than {} states; use smaller repetition counts",
                grammar_.source, kMaxStates);
  nfa_->states.emplace_back();
  return static_cast<uint32_t>(nfa_->states.size() - 1);
}

void NfaBuilder::add_empty(uint32_t from, uint32_t to) {
  nfa_->states[from].empty.push_back(to);
}

void NfaBuilder::build(ExprId id, uint32_t from, uint32_t to, int depth) {
  if (id == kEmptyEdge) return add_empty(from, to);
  const Expr& expr = grammar_.exprs[static_cast<size_t>(id)];
  switch (expr.kind) {
    case ExprKind::kBytes:
      for (size_t i = 0; i < expr.bytes.size(); i++) {
        const uint32_t next = i + 1 == expr.bytes.size() ? to : add_state();
        const auto byte = static_cast<uint8_t>(expr.bytes[i]);
        nfa_->states[from].bytes.push_back({byte, byte, next});
        from = next;
      }
      return;
    case ExprKind::kClass: return build_class(expr.set, from, to);
    case ExprKind::kSequence:
      if (expr.children.empty()) return add_empty(from, to);
      for (size_t i = 0; i < expr.children.size(); i++) {
        const uint32_t next = i + 1 == expr.children.size() ? to : add_state();
        build(expr.children[i], from, next, depth);
        from = next;
      }
      return;
    case ExprKind::kChoice:
      for (const ExprId child : expr.children) build(child, from, to, depth);
      return;
    case ExprKind::kRepeat: return build_repeat(expr, from, to, depth);
    case ExprKind::kRule: return build_call(static_cast<uint32_t>(expr.rule), from, to, depth);
    case ExprKind::kMachine: return build_machine(*expr.machine, from, to, depth);
  }
}

void NfaBuilder::build_class(const CodePoints& set, uint32_t from, uint32_t to) {
  for (const Utf8Sequence& sequence : utf8_sequences(set)) {
    uint32_t at = from;
    for (int i = 0; i < sequence.length; i++) {
      const uint32_t next = i + 1 == sequence.length ? to : add_state();
      const auto [lo, hi] = sequence.bytes[static_cast<size_t>(i)];
      nfa_->states[at].bytes.push_back({lo, hi, next});
      at = next;
    }
  }
}

void NfaBuilder::build_repeat(const Expr& expr, uint32_t from, uint32_t to, int depth) {
  const ExprId child = expr.children[0];
  const int64_t count = std::max<int64_t>(1, expr.max == kNoMaximum ? expr.min + 1 : expr.max);
  const bool as_rule = count > 1 && size(child) * count > kRepeatSize;
  const auto one = [&](uint32_t a, uint32_t b) {
    if (!as_rule) return build(child, a, b, depth);
    const uint32_t rule = rule_of(child);
    needed_[rule] = true;
    nfa_->states[a].calls.push_back({rule, b});
  };
  uint32_t at = add_state();  // so that loops don't come back into `from`
  add_empty(from, at);
  for (int32_t i = 0; i < expr.min; i++) {
    const uint32_t next = add_state();
    one(at, next);
    at = next;
  }
  add_empty(at, to);
  if (expr.max == kNoMaximum) {
    const uint32_t loop = add_state(), back = add_state();
    add_empty(at, loop);
    one(loop, back);
    add_empty(back, loop);
    return add_empty(back, to);
  }
  for (int32_t i = expr.min; i < expr.max; i++) {
    const uint32_t next = add_state();
    one(at, next);
    add_empty(next, to);
    at = next;
  }
}

void NfaBuilder::build_machine(const Machine& machine, uint32_t from, uint32_t to, int depth) {
  std::vector<uint32_t> states;
  for (size_t i = 0; i < machine.accepting.size(); i++) {
    states.push_back(add_state());
    if (machine.accepting[i]) add_empty(states.back(), to);
  }
  add_empty(from, states[0]);
  for (const Machine::Edge& edge : machine.edges)
    build(edge.expr, states[static_cast<size_t>(edge.from)], states[static_cast<size_t>(edge.to)],
          depth);
}

void NfaBuilder::build_call(uint32_t rule, uint32_t from, uint32_t to, int depth) {
  if (inline_[rule] && depth < kInlineDepth) {
    const uint32_t inner = add_state();
    add_empty(from, inner);
    return build(bodies_[rule], inner, to, depth + 1);
  }
  needed_[rule] = true;
  nfa_->states[from].calls.push_back({rule, to});
}

uint32_t NfaBuilder::rule_of(ExprId expr) {
  const auto [it, fresh] = expr_rules_.try_emplace(expr, static_cast<uint32_t>(bodies_.size()));
  if (fresh) {
    bodies_.push_back(expr);
    needed_.push_back(false);
    inline_.push_back(false);
  }
  return it->second;
}

}  // namespace mica::grammar

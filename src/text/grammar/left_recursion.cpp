// Left recursion among rules, rewritten as repetition: A → A x | y becomes A → y x*, and symbols
// that begin each other's alternatives are first replaced by those (Paull's elimination).
#include <algorithm>

#include "base/error.h"
#include "text/grammar/program.h"

namespace mica::grammar {
namespace {

using Alternative = std::vector<ExprId>;  // a sequence
constexpr size_t kMaxAlternatives = 5000;
constexpr size_t kMaxRules = 1000;

class Rewriter {
 public:
  explicit Rewriter(Grammar& grammar) : grammar_(grammar) {}

  void run() {
    find_core();
    if (core_.size() > kMaxRules)
      throw Error(ErrorKind::kUsage, "{} more than {} rules call each other before any character",
                  grammar_.source, kMaxRules);
    for (size_t i = 0; i < core_.size(); i++) rewrite(i);
  }

 private:
  const Expr& expr(ExprId id) const { return grammar_.exprs[static_cast<size_t>(id)]; }
  ExprId& body(uint32_t rule) { return grammar_.rules[rule].body; }

  // The rules that may begin the text of `rule` (what can be empty in front is not looked through).
  std::vector<uint32_t> leading(uint32_t rule) {
    std::vector<uint32_t> out;
    std::vector<ExprId> pending{body(rule)};
    while (!pending.empty()) {
      const ExprId id = pending.back();
      pending.pop_back();
      if (id == kEmptyEdge) continue;
      const Expr& e = expr(id);
      if (e.kind == ExprKind::kRule) out.push_back(static_cast<uint32_t>(e.rule));
      if (e.kind == ExprKind::kSequence && !e.children.empty()) pending.push_back(e.children[0]);
      if (e.kind == ExprKind::kChoice)
        pending.insert(pending.end(), e.children.begin(), e.children.end());
    }
    return out;
  }

  // What remains when rules that begin with no other rule, or begin no other, are taken away again
  // and again: the cycles, and what lies between them.
  void find_core() {
    const size_t count = grammar_.rules.size();
    std::vector<std::vector<uint32_t>> out(count), in(count);
    for (uint32_t rule = 0; rule < count; rule++)
      for (const uint32_t next : out[rule] = leading(rule)) in[next].push_back(rule);
    std::vector<bool> gone(count, false);
    peel(out, in, gone);
    peel(in, out, gone);
    for (uint32_t rule = 0; rule < count; rule++)
      if (!gone[rule]) core_.push_back(rule);
  }

  static void peel(const std::vector<std::vector<uint32_t>>& out,
                   const std::vector<std::vector<uint32_t>>& in, std::vector<bool>& gone) {
    std::vector<size_t> open(out.size(), 0);
    std::vector<uint32_t> ready;
    for (uint32_t rule = 0; rule < out.size(); rule++) {
      for (const uint32_t next : out[rule]) open[rule] += !gone[next];
      if (open[rule] == 0 && !gone[rule]) ready.push_back(rule);
    }
    while (!ready.empty()) {
      const uint32_t rule = ready.back();
      ready.pop_back();
      gone[rule] = true;
      for (const uint32_t before : in[rule])
        if (--open[before] == 0 && !gone[before]) ready.push_back(before);
    }
  }

  // The alternatives with groups at their beginnings opened.
  std::vector<Alternative> alternatives(ExprId id) {
    std::vector<Alternative> pending{{id}}, out;
    while (!pending.empty()) {
      Alternative next = std::move(pending.back());
      pending.pop_back();
      const Expr* first = next.empty() ? nullptr : &expr(next[0]);
      if (!first || (first->kind != ExprKind::kSequence && first->kind != ExprKind::kChoice)) {
        out.push_back(std::move(next));
        check(out.size());
        continue;
      }
      const Alternative rest(next.begin() + 1, next.end());
      if (first->kind == ExprKind::kSequence) {
        next = first->children;
        next.insert(next.end(), rest.begin(), rest.end());
        pending.push_back(std::move(next));
        continue;
      }
      for (auto it = first->children.rbegin(); it != first->children.rend(); ++it) {
        pending.push_back({*it});
        pending.back().insert(pending.back().end(), rest.begin(), rest.end());
      }
    }
    return out;
  }

  bool begins_with(const Alternative& alternative, uint32_t rule) const {
    return !alternative.empty() && expr(alternative[0]).kind == ExprKind::kRule &&
           static_cast<uint32_t>(expr(alternative[0]).rule) == rule;
  }

  void rewrite(size_t index) {
    std::vector<Alternative> now = alternatives(body(core_[index]));
    for (size_t earlier = 0; earlier < index; earlier++) {
      std::vector<Alternative> next;
      for (Alternative& alternative : now) {
        if (!begins_with(alternative, core_[earlier])) {
          next.push_back(std::move(alternative));
          continue;
        }
        for (Alternative& replaced : alternatives(body(core_[earlier]))) {
          replaced.insert(replaced.end(), alternative.begin() + 1, alternative.end());
          next.push_back(std::move(replaced));
        }
        check(next.size());
      }
      now = std::move(next);
    }
    std::vector<ExprId> begins, continues;
    for (Alternative& alternative : now) {
      if (!begins_with(alternative, core_[index])) {
        begins.push_back(grammar_.sequence(std::move(alternative)));
      } else if (alternative.size() > 1) {
        alternative.erase(alternative.begin());
        continues.push_back(grammar_.sequence(std::move(alternative)));
      }
    }
    const ExprId begin = grammar_.choice(std::move(begins));
    body(core_[index]) =
        continues.empty()
            ? begin
            : grammar_.sequence(
                  {begin, grammar_.repeat(grammar_.choice(std::move(continues)), 0, kNoMaximum)});
  }

  void check(size_t alternatives) {
    work_ += 1;
    if (alternatives > kMaxAlternatives || work_ > 40 * kMaxAlternatives)
      throw Error(ErrorKind::kUsage,
                  "{} left recursion too large to rewrite: more than {} alternatives",
                  grammar_.source, kMaxAlternatives);
  }

  Grammar& grammar_;
  std::vector<uint32_t> core_;
  size_t work_ = 0;
};

}  // namespace

void rewrite_left_recursion(Grammar& grammar) {
  Rewriter(grammar).run();
}

}  // namespace mica::grammar

#include "text/grammar/expression.h"

#include "base/error.h"

namespace mica::grammar {

ExprId Grammar::add(Expr expr) {
  if (exprs.size() >= kMaxExprs)
    throw Error(ErrorKind::kUsage, "{} too large: more than {} expressions", source, kMaxExprs);
  exprs.push_back(std::move(expr));
  return static_cast<ExprId>(exprs.size() - 1);
}

ExprId Grammar::bytes(std::string_view text) {
  if (text.empty()) return empty();
  Expr expr;
  expr.kind = ExprKind::kBytes;
  expr.bytes = text;
  return add(std::move(expr));
}

ExprId Grammar::one_of(CodePoints set) {
  Expr expr;
  expr.kind = ExprKind::kClass;
  expr.set = std::move(set);
  return add(std::move(expr));
}

ExprId Grammar::sequence(std::vector<ExprId> children) {
  if (children.size() == 1) return children[0];
  Expr expr;
  expr.kind = ExprKind::kSequence;
  expr.children = std::move(children);
  return add(std::move(expr));
}

ExprId Grammar::choice(std::vector<ExprId> children) {
  if (children.size() == 1) return children[0];
  Expr expr;
  expr.kind = ExprKind::kChoice;
  expr.children = std::move(children);
  return add(std::move(expr));
}

ExprId Grammar::repeat(ExprId child, int32_t min, int32_t max) {
  if (max == 0) return empty();
  if (min == 1 && max == 1) return child;
  Expr expr;
  expr.kind = ExprKind::kRepeat;
  expr.min = min;
  expr.max = max;
  expr.children = {child};
  return add(std::move(expr));
}

ExprId Grammar::call(int32_t rule) {
  Expr expr;
  expr.kind = ExprKind::kRule;
  expr.rule = rule;
  return add(std::move(expr));
}

ExprId Grammar::machine(Machine machine) {
  Expr expr;
  expr.kind = ExprKind::kMachine;
  expr.machine = std::make_unique<Machine>(std::move(machine));
  return add(std::move(expr));
}

int32_t Grammar::add_rule(std::string name, ExprId body) {
  rules.push_back({std::move(name), body, false});
  return static_cast<int32_t>(rules.size() - 1);
}

}  // namespace mica::grammar

// A frame is the template, the body of a loop, macro, `with`, `block`, `filter` or `set` block. A
// name that a frame assigns outside of `if`, before it reads it, and that no outer frame knows,
// belongs to the frame from its start: frames inside read it as undefined until it is assigned,
// even where the request gives a variable of that name.
#include "text/template/scopes.h"

#include <initializer_list>
#include <unordered_set>

namespace mica::jinja {
namespace {

class Frame {
 public:
  Frame(const Ast& ast, const Frame* parent) : ast_(ast), parent_(parent) {}

  void declare(Symbol symbol) { known_.insert(symbol); }
  void declare(const char* name) {
    auto found = ast_.symbols.find(name);
    if (found != ast_.symbols.end()) declare(found->second);
  }
  void declare_target(const Expr& target) {
    if (target.type == ExprType::kName) declare(target.symbol);
    for (const Expr* item : target.items) declare_target(*item);
  }

  // The names of an expression; a tree of any depth.
  void read(const Expr* root) {
    std::vector<const Expr*> open = {root};
    while (!open.empty()) {
      const Expr* expr = open.back();
      open.pop_back();
      if (!expr) continue;
      if (expr->type == ExprType::kName || expr->type == ExprType::kNamespaceRef) {
        if (!knows(expr->symbol)) declare(expr->symbol);
      }
      open.insert(open.end(), {expr->a, expr->b, expr->c});
      open.insert(open.end(), expr->items.begin(), expr->items.end());
      const CallArguments& call = expr->arguments;
      open.insert(open.end(), call.positional.begin(), call.positional.end());
      for (const auto& named : call.named) open.push_back(named.second);
      open.insert(open.end(), {call.star, call.double_star});
    }
  }

  void walk(const Body& body) {
    for (const Stmt* statement : body) walk(*statement);
  }

  std::vector<Symbol> unset;

 private:
  bool knows(Symbol symbol) const {
    for (const Frame* frame = this; frame; frame = frame->parent_) {
      if (frame->known_.contains(symbol)) return true;
    }
    return false;
  }

  void assign(Symbol symbol) {
    if (known_.contains(symbol)) return;
    if (branches_ == 0 && !knows(symbol)) unset.push_back(symbol);
    declare(symbol);
  }

  void assign(const Expr& target) {
    if (target.type == ExprType::kName) assign(target.symbol);
    if (target.type == ExprType::kNamespaceRef) read(&target);
    for (const Expr* item : target.items) assign(*item);
  }

  void walk(const Stmt& statement) {
    switch (statement.type) {
      case StmtType::kPrint:
      case StmtType::kFor:
      case StmtType::kCallBlock:
      case StmtType::kFilterBlock: read(statement.expr); break;
      case StmtType::kSet:
        read(statement.expr);
        assign(*statement.target);
        break;
      case StmtType::kSetBlock: assign(*statement.target); break;
      case StmtType::kMacro: assign(statement.symbol); break;
      case StmtType::kWith:
        for (const auto& binding : statement.bindings) read(binding.second);
        break;
      case StmtType::kIf:
        ++branches_;
        for (const auto& [condition, body] : statement.branches) {
          read(condition);
          walk(body);
        }
        walk(statement.otherwise);
        --branches_;
        break;
      default: break;
    }
  }

  const Ast& ast_;
  const Frame* parent_;
  std::unordered_set<Symbol> known_;
  int branches_ = 0;
};

class Analyzer {
 public:
  explicit Analyzer(Ast& ast) : ast_(ast) {}

  void run() {
    Frame frame(ast_, nullptr);
    ast_.unset = finish(frame, ast_.body);
  }

 private:
  std::vector<Symbol> finish(Frame& frame, const Body& body) {
    frame.walk(body);
    enter(frame, body);
    return std::move(frame.unset);
  }

  void enter(const Frame& outer, const Body& body) {
    for (Stmt* statement : body) enter(outer, *statement);
  }

  void enter(const Frame& outer, Stmt& statement) {
    Frame frame(ast_, statement.type == StmtType::kBlock ? nullptr : &outer);
    switch (statement.type) {
      case StmtType::kIf:
        for (const auto& branch : statement.branches) enter(outer, branch.second);
        enter(outer, statement.otherwise);
        return;
      case StmtType::kFor: {
        frame.declare("loop");
        frame.declare_target(*statement.target);
        Frame otherwise(ast_, &outer);
        statement.unset_otherwise = finish(otherwise, statement.otherwise);
        break;
      }
      case StmtType::kMacro:
      case StmtType::kCallBlock:
      case StmtType::kGeneration: declare_signature(frame, statement.signature); break;
      case StmtType::kWith:
        for (const auto& binding : statement.bindings) frame.declare_target(*binding.first);
        break;
      case StmtType::kFilterBlock:
      case StmtType::kSetBlock:
      case StmtType::kScope:
      case StmtType::kBlock: break;
      default: return;
    }
    statement.unset = finish(frame, statement.body);
  }

  static void declare_signature(Frame& frame, const Signature& signature) {
    for (const auto& parameter : signature.parameters) frame.declare(parameter.first);
    if (signature.uses_caller) frame.declare("caller");
    if (signature.uses_kwargs) frame.declare("kwargs");
    if (signature.uses_varargs) frame.declare("varargs");
    for (const auto& parameter : signature.parameters) frame.read(parameter.second);
  }

  Ast& ast_;
};

}  // namespace

void analyze_scopes(Ast& ast) {
  Analyzer(ast).run();
}

}  // namespace mica::jinja

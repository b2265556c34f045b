// The syntax tree. Nodes belong to the Ast and point to each other freely, so that a deep tree is
// freed without recursion.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/template/value.h"

namespace mica::jinja {

using Symbol = int;  // an index into Ast::names

struct Expr;
struct CallArguments {
  std::vector<Expr*> positional;
  std::vector<std::pair<std::string, Expr*>> named;
  Expr* star = nullptr;         // *iterable
  Expr* double_star = nullptr;  // **mapping
};

enum class ExprType : uint8_t {
  kConstant,      // constant
  kName,          // symbol
  kNamespaceRef,  // symbol . text: only as a target
  kTuple,         // items
  kList,          // items
  kDict,          // items: key, value, key, value …
  kConcat,        // items
  kConditional,   // a if b else c (c may be null)
  kOr,            // a, b
  kAnd,           // a, b
  kNot,           // a
  kNegative,      // a
  kPositive,      // a
  kBinary,        // a text b: + - * / // % **
  kCompare,       // a, then operators[i] items[i]
  kAttribute,     // a . text
  kItem,          // a [ b ]
  kSlice,         // a [ items[0] : items[1] : items[2] ], each may be null
  kCall,          // a ( arguments )
  kFilter,        // a | text ( arguments ); a is null in filter blocks
  kTest,          // a is text ( arguments )
};

enum class CompareOp : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

struct Expr {
  ExprType type;
  int line;
  Symbol symbol = -1;
  std::string text;
  Value constant;
  Expr* a = nullptr;
  Expr* b = nullptr;
  Expr* c = nullptr;
  std::vector<Expr*> items;
  std::vector<CompareOp> operators;
  CallArguments arguments;
};

struct Stmt;
using Body = std::vector<Stmt*>;

enum class StmtType : uint8_t {
  kData,         // text
  kPrint,        // expr
  kSet,          // target = expr
  kSetBlock,     // target, expr: filter chain or null, body
  kFor,          // target, expr: iterable, condition or null, recursive, body, otherwise
  kIf,           // branches, otherwise
  kMacro,        // symbol, signature, body
  kCallBlock,    // expr: the call, signature, body
  kFilterBlock,  // expr: filter chain, body
  kWith,         // bindings, body
  kScope,        // body: autoescape
  kGeneration,   // body: {% generation %}
  kBlock,        // text: name, body, scoped
  kBreak,
  kContinue,
  kFail,  // text: a statement that needs a template loader
};

struct Signature {
  std::vector<std::pair<Symbol, Expr*>> parameters;  // with default or null
  bool uses_caller = false, uses_kwargs = false, uses_varargs = false;
};

struct Stmt {
  StmtType type;
  int line;
  std::string text;
  Symbol symbol = -1;
  Expr* target = nullptr;
  Expr* expr = nullptr;
  Expr* condition = nullptr;
  bool recursive = false, scoped = false;
  Body body, otherwise;
  std::vector<std::pair<Expr*, Body>> branches;
  std::vector<std::pair<Expr*, Expr*>> bindings;
  Signature signature;
  // Names that the frame of `body`, or of `otherwise`, makes undefined when it is entered.
  std::vector<Symbol> unset, unset_otherwise;
};

struct Ast {
  std::deque<Expr> exprs;
  std::deque<Stmt> stmts;
  std::vector<std::string> names;
  std::unordered_map<std::string, Symbol> symbols;
  Body body;
  std::vector<Symbol> unset;  // as those of Stmt
  std::unordered_map<std::string, Stmt*> blocks;

  Symbol intern(const std::string& name) {
    auto [entry, added] = symbols.try_emplace(name, static_cast<Symbol>(names.size()));
    if (added) names.push_back(name);
    return entry->second;
  }
};

}  // namespace mica::jinja

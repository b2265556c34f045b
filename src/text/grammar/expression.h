// What every input becomes: rules whose bodies are regular expressions over characters and rules.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/grammar/code_points.h"

namespace mica::grammar {

using ExprId = int32_t;
constexpr ExprId kEmptyEdge = -1;
constexpr int32_t kNoMaximum = -1;

// An automaton whose edges are expressions; state 0 is the start.
struct Machine {
  struct Edge {
    int32_t from, to;
    ExprId expr;  // kEmptyEdge: without text
  };
  std::vector<bool> accepting;  // its size is the number of states
  std::vector<Edge> edges;
};

enum class ExprKind : uint8_t { kBytes, kClass, kSequence, kChoice, kRepeat, kRule, kMachine };

struct Expr {
  ExprKind kind = ExprKind::kSequence;
  int32_t min = 0, max = 0;      // kRepeat; max may be kNoMaximum
  int32_t rule = 0;              // kRule
  std::string bytes;             // kBytes
  CodePoints set;                // kClass
  std::vector<ExprId> children;  // kSequence (none: the empty text), kChoice (none: nothing), kRepeat
  std::unique_ptr<Machine> machine;
};

struct Rule {
  std::string name;           // as its author knows it: a symbol or a JSON pointer, for messages
  ExprId body = kEmptyEdge;   // kEmptyEdge while it is not known
  bool shared = false;        // kept as one rule: its masks are worth sharing between callers
};

// Owns the expressions. Sub-expressions may be shared.
struct Grammar {
  std::vector<Expr> exprs;
  std::vector<Rule> rules;
  int32_t root = 0;
  std::string source;  // "[gbnf]", "[json schema]": begins messages

  ExprId empty() { return sequence({}); }
  ExprId nothing() { return choice({}); }
  ExprId bytes(std::string_view text);
  ExprId one_of(CodePoints set);
  ExprId sequence(std::vector<ExprId> children);
  ExprId choice(std::vector<ExprId> children);
  ExprId repeat(ExprId child, int32_t min, int32_t max);
  ExprId optional(ExprId child) { return repeat(child, 0, 1); }
  ExprId call(int32_t rule);
  ExprId machine(Machine machine);
  int32_t add_rule(std::string name, ExprId body = kEmptyEdge);

 private:
  ExprId add(Expr expr);  // throws Error(kUsage) over kMaxExprs
};

constexpr size_t kMaxExprs = 2'000'000;
// A token of its own in the byte streams of grammars and special tokens; never part of UTF-8.
constexpr char kTokenBegin = '\xFF', kTokenEnd = '\xFE';

}  // namespace mica::grammar

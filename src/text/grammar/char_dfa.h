// Intersections of regular expressions, as automata over characters.
#pragma once

#include <string>
#include <vector>

#include "text/grammar/expression.h"

namespace mica::grammar {

struct CharTerm {
  ExprId expr;
  bool negated = false;  // texts that do not match
};

// The texts that match every term, as a automaton whose states all lead to an end.
struct CharDfa {
  struct Edge {
    uint32_t target;
    CodePoints set;
  };
  std::vector<std::vector<Edge>> edges;  // by state, 0: start
  std::vector<bool> accepting;
  bool empty = false;  // nothing matches

  bool matches(std::string_view text) const;
};

// Expressions of classes, sequences, choices and repetitions of `grammar`. Throws Error(kUsage) with
// `place` when the automaton grows over kMaxDfaStates.
CharDfa intersect(const Grammar& grammar, const std::vector<CharTerm>& terms,
                  const std::string& place);

constexpr size_t kMaxDfaStates = 20'000;

}  // namespace mica::grammar

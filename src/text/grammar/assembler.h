// Turns the automata of rules into the states of a Program, determinized where that stays small.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "text/grammar/nfa.h"
#include "text/grammar/program.h"

namespace mica::grammar {

class Assembler {
 public:
  Assembler(Program& program, std::string source) : program_(program), source_(std::move(source)) {}
  uint32_t add(const Nfa& nfa);  // returns the start state
  void finish();                 // fixes the order of edges; the program is complete

 private:
  using Set = std::vector<uint32_t>;  // NFA states, sorted
  struct SetHash {
    size_t operator()(const Set& set) const;
  };
  // What one state of the program has; edges are moved into the program at the end.
  bool determinize(const Nfa& nfa);
  void keep(const Nfa& nfa);
  Set closure(const Nfa& nfa, Set states);
  uint32_t state_of(const Nfa& nfa, Set set);
  void add_bytes(const Nfa& nfa, const Set& set, uint32_t state);
  void add_calls(const Nfa& nfa, const Set& set, uint32_t state);
  void check_size() const;

  Program& program_;
  std::string source_;
  std::unordered_map<Set, uint32_t, SetHash> known_;
  std::vector<const Set*> sets_;  // by state, from base_
  size_t base_ = 0, work_ = 0;
  std::vector<uint32_t> mark_;
  uint32_t round_ = 0;
};

}  // namespace mica::grammar

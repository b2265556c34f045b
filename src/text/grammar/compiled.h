// What GrammarCompiler makes and GrammarMatcher follows.
#pragma once

#include <memory>

#include "text/grammar/grammar.h"
#include "text/grammar/mask_cache.h"
#include "text/grammar/program.h"

namespace mica {

class CompiledGrammar {
 public:
  CompiledGrammar(grammar::Grammar source, std::shared_ptr<const TokenVocabulary> tokens)
      : vocabulary(std::move(tokens)), program(std::move(source)), masks(program, vocabulary) {}

  size_t memory() const { return program.memory() + masks.memory() + sizeof(*this); }

  const std::shared_ptr<const TokenVocabulary> vocabulary;
  const grammar::Program program;
  mutable grammar::MaskCache masks;  // grows as it is used; locks itself
};

}  // namespace mica

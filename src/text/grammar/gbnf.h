// GBNF, the grammar notation of llama.cpp, and what grammar.h says of its extensions.
#pragma once

#include <string_view>

#include "text/grammar/expression.h"
#include "text/grammar/json_text.h"
#include "text/grammar/vocabulary.h"

namespace mica::grammar {

struct GbnfContext {
  const TokenVocabulary* vocabulary = nullptr;  // null: no token is special
  bool any_whitespace = true;
  bool open_objects = false;
};

// Throws Error(kUsage) with the line.
Grammar parse_gbnf(std::string_view text, const GbnfContext& context);

}  // namespace mica::grammar

// What a constrained answer looks like: a grammar whose calls follow the tools' schemas.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "text/answer/answer_style.h"

namespace mica {

struct ToolChoice {
  enum class Kind : uint8_t {
    kAuto,      // text, or text and calls; calls of tools with "strict": true follow their schema
    kRequired,  // one call or more of any tool
    kNamed,     // one call or more of the tool `name`
  } kind = Kind::kRequired;
  std::string name;
  bool parallel = true;       // false: one call
  bool in_reasoning = false;  // the prompt opened a reasoning block, which comes to its end first
  bool may_reason = false;    // the answer may begin with a reasoning block of its own
};

// The grammar in GBNF with `%json_schema{…}` where arguments are, `%json_object` for any object and
// `%token"…"` for markers that may be special tokens (text/grammar/grammar.h); the root rule is
// "root". `tools` as in AnswerParserOptions. Throws Error(kUsage) for a named tool that is not
// among `tools`, for no tools, and for a style without calls.
//
// Arguments follow the tools' schemas; in the order of the schema where they are not one JSON
// object (tags, Python, Gemma). Of tools without "strict": true, kAuto takes any arguments.
std::string tool_grammar(AnswerStyle style, const nlohmann::ordered_json& tools,
                         const ToolChoice& choice);

}  // namespace mica

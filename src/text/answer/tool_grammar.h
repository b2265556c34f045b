// What a constrained answer looks like: a grammar whose calls follow the tools' schemas.
#pragma once

#include <functional>
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

// Rules in the GBNF dialect that define `rule` (and rules named `rule`-…) as the JSON texts that
// follow `schema`. A null schema means any JSON object.
using SchemaRules =
    std::function<std::string(const nlohmann::ordered_json& schema, const std::string& rule)>;

// The grammar in GBNF, its root rule "root". Throws Error(kUsage) for a named tool that is not
// among `tools`, no tools, or a style without calls.
std::string tool_grammar(AnswerStyle style, const nlohmann::ordered_json& tools,
                         const ToolChoice& choice, const SchemaRules& schema_rules);

}  // namespace mica

// What the text of an answer must follow, by the fields of OpenAI, vLLM and llama.cpp.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "server/json_fields.h"
#include "text/grammar/grammar.h"

namespace mica {

struct AnswerGrammar {
  GrammarSpec spec;
  std::string param;  // the field that says so, for errors
};

// response_format, structured_outputs, guided_json and the like, json_schema, grammar; nullopt
// where the text is free. Two of them at once are an error.
std::optional<AnswerGrammar> grammar_fields(const Fields& fields);

// The grammar of a JSON schema given in `param`.
AnswerGrammar schema_grammar(const nlohmann::ordered_json& schema, const std::string& param);

}  // namespace mica

// JSON schemas as grammars. The subset is stated in docs/structured-output.md; whatever is outside is
// an Error(kUsage) with the JSON pointer of the place.
#pragma once

#include <string_view>

#include "text/grammar/expression.h"
#include "text/grammar/json_text.h"

namespace mica::grammar {

struct SchemaOptions {
  bool any_whitespace = true;
  bool open_objects = false;  // see GrammarSpec
};

// The values of a schema, as an expression in `grammar`; `json` is of that grammar.
ExprId add_json_schema(Grammar& grammar, JsonText& json, std::string_view schema,
                       const SchemaOptions& options);
Grammar parse_json_schema(std::string_view schema, const SchemaOptions& options);

}  // namespace mica::grammar

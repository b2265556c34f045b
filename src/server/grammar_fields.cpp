#include "server/grammar_fields.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/limits.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;
using Kind = GrammarSpec::Kind;

AnswerGrammar grammar_of(Kind kind, std::string text, const std::string& param) {
  AnswerGrammar out;
  out.spec.kind = kind;
  out.spec.text = std::move(text);
  out.param = param;
  return out;
}

AnswerGrammar text_grammar(Kind kind, const Json& value, const std::string& param) {
  if (!value.is_string() || value.get_ref<const std::string&>().empty())
    wrong_value(param, "a text that is not empty", value);
  return grammar_of(kind, value.get<std::string>(), param);
}

AnswerGrammar choice_grammar(const Json& value, const std::string& param) {
  if (!value.is_array() || value.empty()) wrong_value(param, "a list of texts", value);
  if (value.size() > limits::kGrammarChoices)
    throw RequestError(param, fmt::format("{}: {} choices, at most {} are taken", param,
                                          value.size(), limits::kGrammarChoices));
  AnswerGrammar out = grammar_of(Kind::kChoice, "", param);
  for (const Json& choice : value) {
    if (!choice.is_string()) wrong_value(param, "a list of texts", choice);
    out.spec.choices.push_back(choice.get<std::string>());
  }
  return out;
}

// {"type": "json_object" (with "schema", as llama.cpp), "json_schema", "regex", "grammar", "text"}
std::optional<AnswerGrammar> response_format(const Json& format) {
  const std::string at = "response_format";
  if (!format.is_object()) wrong_value(at, "an object", format);
  const Fields fields(format);
  const Json* type = fields.find("type");
  if (!type || !type->is_string()) throw RequestError(at, at + ": expected a type");
  if (*type == "text") return std::nullopt;
  if (*type == "json_object") {
    if (const Json* schema = fields.find("schema")) return schema_grammar(*schema, at + ".schema");
    return grammar_of(Kind::kJsonObject, "", at);
  }
  if (*type == "json_schema") {
    const Json* outer = fields.find("json_schema");
    if (!outer) outer = fields.find("schema");
    if (!outer || !outer->is_object())
      throw RequestError(at + ".json_schema", at + ".json_schema: expected an object");
    const Json* schema = Fields(*outer).find("schema");
    return schema_grammar(schema ? *schema : *outer, at + ".json_schema.schema");
  }
  if (*type == "regex" || *type == "grammar") {
    const char* name = *type == "regex" ? "pattern" : "grammar";
    const Json* text = fields.find(name);
    if (!text) throw RequestError(at, fmt::format("{}: it has no {}", at, name));
    return text_grammar(*type == "regex" ? Kind::kRegex : Kind::kGrammar, *text,
                        fmt::format("{}.{}", at, name));
  }
  wrong_value(at + ".type", "\"text\", \"json_object\" or \"json_schema\"", *type);
}

// The members choice, regex, json, json_object and grammar of `object`, each named prefix + name.
void named_grammars(const Fields& fields, const std::string& prefix, const std::string& place,
                    std::vector<AnswerGrammar>& out) {
  const auto find = [&](const char* name) { return fields.find((prefix + name).c_str()); };
  if (const Json* value = find("choice"))
    out.push_back(choice_grammar(*value, place + prefix + "choice"));
  if (const Json* value = find("regex"))
    out.push_back(text_grammar(Kind::kRegex, *value, place + prefix + "regex"));
  if (const Json* value = find("json"))
    out.push_back(schema_grammar(*value, place + prefix + "json"));
  if (const Json* value = find("grammar"))
    out.push_back(text_grammar(Kind::kGrammar, *value, place + prefix + "grammar"));
  if (const Json* value = find("json_object")) {
    if (!value->is_boolean()) wrong_value(place + prefix + "json_object", "true or false", *value);
    if (*value == true)
      out.push_back(grammar_of(Kind::kJsonObject, "", place + prefix + "json_object"));
  }
}

}  // namespace

AnswerGrammar schema_grammar(const Json& schema, const std::string& param) {
  if (schema.is_string()) {  // vLLM takes the schema's text too
    try {
      return schema_grammar(parse_json_body(schema.get_ref<const std::string&>()), param);
    } catch (const RequestError& error) {
      throw RequestError(param, param + ": " + error.error().message);
    }
  }
  if (!schema.is_object() && !schema.is_boolean()) wrong_value(param, "a JSON schema", schema);
  return grammar_of(Kind::kJsonSchema, schema.dump(), param);
}

std::optional<AnswerGrammar> grammar_fields(const Fields& fields) {
  std::vector<AnswerGrammar> found;
  if (const Json* format = fields.find("response_format"))
    if (auto grammar = response_format(*format)) found.push_back(std::move(*grammar));
  if (const Json* outputs = fields.object("structured_outputs")) {
    if (Fields(*outputs).find("structural_tag"))
      throw RequestError("structured_outputs.structural_tag",
                         "structured_outputs.structural_tag: not supported; choice, regex, json, "
                         "json_object and grammar are");
    named_grammars(Fields(*outputs), "", "structured_outputs.", found);
  }
  named_grammars(fields, "guided_", "", found);
  if (const Json* schema = fields.find("json_schema"))
    found.push_back(schema_grammar(*schema, "json_schema"));
  if (const Json* grammar = fields.find("grammar"); grammar && *grammar != "")
    found.push_back(text_grammar(Kind::kGrammar, *grammar, "grammar"));
  if (found.size() > 1)
    throw RequestError(found[1].param,
                       fmt::format("{}: not together with {}", found[1].param, found[0].param));
  if (found.empty()) return std::nullopt;
  return std::move(found[0]);
}

}  // namespace mica

#include "text/answer/tool_grammar.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "text/answer/gbnf_text.h"
#include "text/answer/tool_types.h"
#include "text/answer/value_reader.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;
using gbnf::literal;
using gbnf::token;

// How a style writes parameters one by one.
struct ParameterForm {
  std::string before_name, after_name;  // expressions
  std::string close_text;               // that ends a value, as text; "" where values are JSON
  std::string after_value;              // expression
  std::string separator;                // expression between parameters, may be empty
};

class ToolGrammar {
 public:
  ToolGrammar(AnswerStyle style, const ToolChoice& choice) : style_(style), choice_(choice) {}

  std::string write(const std::vector<const Json*>& functions) {
    std::string call;
    for (size_t i = 0; i < functions.size(); ++i) {
      const std::string rule = fmt::format("call-{}", i);
      prefix_ = rule;
      define(rule, one_call(*functions[i]));
      call += (i == 0 ? "" : " | ") + rule;
    }
    define("call", call);
    define("calls", calls());
    define("space", "[ \\t\\n]? [ \\t\\n]? [ \\t\\n]?");
    define("root", reasoning() + answer());
    return rules_;
  }

 private:
  void define(const std::string& rule, const std::string& body) {
    rules_ += fmt::format("{} ::= {}\n", rule, body);
  }
  // A rule for text in which `marker` does not occur.
  std::string text_without(std::string_view marker) {
    auto known = std::find(texts_.begin(), texts_.end(), marker);
    const auto index = known - texts_.begin();
    const std::string rule = fmt::format("text-{}", index);
    if (known == texts_.end()) {
      texts_.emplace_back(marker);
      define(rule, gbnf::text_without(marker));
    }
    return rule;
  }

  bool strict(const Json& function) const {
    if (choice_.kind != ToolChoice::Kind::kAuto) return true;
    auto flag = function.find("strict");
    return flag != function.end() && *flag == true;
  }

  std::string arguments(const Json& function) const {
    auto parameters = function.find("parameters");
    if (!strict(function) || parameters == function.end() || !parameters->is_object()) {
      return "%json_object";
    }
    Json schema = *parameters;
    if (!schema.contains("type")) schema["type"] = "object";
    return "%json_schema" + schema.dump();
  }

  std::string json_call(const Json& function, std::string_view key) const {
    return fmt::format("{} {} \"}}\"",
                       literal(fmt::format("{{\"name\": {}, \"{}\": ",
                                           json_string(name_of(function)), key)),
                       arguments(function));
  }
  static std::string name_of(const Json& function) {
    return function.at("name").get<std::string>();
  }

  std::string one_call(const Json& function);
  std::string calls() const;
  std::string reasoning();
  std::string answer();
  std::string parameters(const Json& function, const ParameterForm& form);
  std::string parameter(const std::string& name, const Json& schema, const Json& root,
                        const ParameterForm& form);
  std::string value(const Json& schema, const Json& root, const ParameterForm& form);
  std::string any_parameters(const ParameterForm& form);
  std::string tags(const Json& function);

  AnswerStyle style_;
  const ToolChoice& choice_;
  std::string rules_;
  std::string prefix_;  // of the rules of the call that is written
  std::vector<std::string> texts_;
};

std::string repeated(bool parallel, const std::string& separator) {
  if (!parallel) return "call";
  return separator.empty() ? "call+" : fmt::format("call ( {} call )*", separator);
}

ParameterForm qwen_form() {
  return {"\"<parameter=\"", "\">\\n\"", "</parameter>", "\"\\n</parameter>\\n\"", ""};
}
ParameterForm minimax_form() {
  return {"\"<parameter name=\\\"\"", "\"\\\">\"", "</parameter>", "\"</parameter>\\n\"", ""};
}
ParameterForm key_value_form(const std::string& prefix) {
  return {token("<" + prefix + "arg_key>"),
          token("</" + prefix + "arg_key>") + " \"\\n\"? " + token("<" + prefix + "arg_value>"),
          "</" + prefix + "arg_value>", token("</" + prefix + "arg_value>") + " \"\\n\"?", ""};
}

std::string ToolGrammar::one_call(const Json& function) {
  const std::string name = name_of(function);
  switch (style_.tools) {
    case ToolStyle::kHermes:
      return token("<tool_call>") + " \"\\n\" " + json_call(function, "arguments") + " \"\\n\" " +
             token("</tool_call>");
    case ToolStyle::kQwen3Coder:
    case ToolStyle::kGlm:
    case ToolStyle::kLongcat:
    case ToolStyle::kMiniMax: return tags(function);
    case ToolStyle::kLlama3: return json_call(function, "parameters");
    case ToolStyle::kMistral:
      return fmt::format("{} ( {} {} {} | \"[\" {} \"]\" )", token("[TOOL_CALLS]"), literal(name),
                         token("[ARGS]"), arguments(function), json_call(function, "arguments"));
    case ToolStyle::kKimi:
      return fmt::format("{} {} [0-9]+ {} {} {}", token("<|tool_call_begin|>"),
                         literal("functions." + name + ":"), token("<|tool_call_argument_begin|>"),
                         arguments(function), token("<|tool_call_end|>"));
    case ToolStyle::kDeepSeek:
      return fmt::format("{0} ( {1} {2} {3} | \"function\" {2} {4} {3} \"\\n```\" ) {5}",
                         token("<｜tool▁call▁begin｜>"), literal(name), token("<｜tool▁sep｜>"),
                         arguments(function), literal(name + "\n```json\n"),
                         token("<｜tool▁call▁end｜>"));
    case ToolStyle::kLfm2:
      return literal(name + "(") + " " + parameters(function, {"", "\"=\"", "", "", "\", \""}) +
             " \")\"";
    case ToolStyle::kGemma:
      return token("<|tool_call>") + " " + literal("call:" + name + "{") + " " +
             parameters(function, {"", "\":\"", "<|\"|>", "", "\",\""}) + " \"}\" " +
             token("<tool_call|>");
    case ToolStyle::kFunctionGemma:
      return token("<start_function_call>") + " " + literal("call:" + name + "{") + " " +
             parameters(function, {"", "\":\"", "<escape>", "", "\",\""}) + " \"}\" " +
             token("<end_function_call>");
    case ToolStyle::kHarmony:
      return fmt::format("{} {} {} \"json\" {} {}", token("<|channel|>"),
                         literal("commentary to=functions." + name + " "), token("<|constrain|>"),
                         token("<|message|>"), arguments(function));
    case ToolStyle::kNone: break;
  }
  return "";
}

std::string ToolGrammar::tags(const Json& function) {
  const std::string name = name_of(function);
  switch (style_.tools) {
    case ToolStyle::kQwen3Coder:
      return fmt::format("{} {} {} \"</function>\\n\" {}", token("<tool_call>"),
                         literal("\n<function=" + name + ">\n"), parameters(function, qwen_form()),
                         token("</tool_call>"));
    case ToolStyle::kMiniMax:
      return fmt::format("{} {} \"</invoke>\\n\"", literal("<invoke name=\"" + name + "\">\n"),
                         parameters(function, minimax_form()));
    case ToolStyle::kLongcat:
      return fmt::format("{} {} \"\\n\" {} {}", token("<longcat_tool_call>"), literal(name),
                         parameters(function, key_value_form("longcat_")),
                         token("</longcat_tool_call>"));
    default:
      return fmt::format("{} {} \"\\n\"? {} {}", token("<tool_call>"), literal(name),
                         parameters(function, key_value_form("")), token("</tool_call>"));
  }
}

// All calls, from the first marker to the last.
std::string ToolGrammar::calls() const {
  const bool parallel = choice_.parallel;
  switch (style_.tools) {
    case ToolStyle::kLlama3:
      return "( " + token("<|python_tag|>") + " )? " + repeated(parallel, "\"; \"");
    case ToolStyle::kMiniMax:
      return token("<minimax:tool_call>") + " \"\\n\" " + repeated(parallel, "") + " " +
             token("</minimax:tool_call>");
    case ToolStyle::kKimi:
      return token("<|tool_calls_section_begin|>") + " " + repeated(parallel, "") + " " +
             token("<|tool_calls_section_end|>");
    case ToolStyle::kDeepSeek:
      return token("<｜tool▁calls▁begin｜>") + " " + repeated(parallel, "\"\\n\"?") + " " +
             token("<｜tool▁calls▁end｜>");
    case ToolStyle::kLfm2:
      return token("<|tool_call_start|>") + " \"[\" " + repeated(parallel, "\", \"") + " \"]\" " +
             token("<|tool_call_end|>");
    case ToolStyle::kHarmony: return "call";  // a call is the end of the answer
    case ToolStyle::kMistral:
    case ToolStyle::kGemma:
    case ToolStyle::kFunctionGemma: return repeated(parallel, "");
    default: return repeated(parallel, "\"\\n\"");
  }
}

std::string ToolGrammar::reasoning() {
  if (style_.reasoning == ReasoningStyle::kNone) return "";
  if (!choice_.in_reasoning && !choice_.may_reason) return "";
  std::string open, close, after = " space";
  const ReasoningMarkers markers = reasoning_markers(style_.reasoning);
  if (style_.reasoning == ReasoningStyle::kHarmony) {
    open = token("<|channel|>") + " \"analysis\" " + token("<|message|>");
    after = " " + token("<|start|>") + " \"assistant\"";
  } else if (style_.reasoning == ReasoningStyle::kGemma) {
    open = token("<|channel>") + " \"thought\"";
  } else {
    open = token(markers.open);
  }
  close = text_without(markers.close) + " " + token(markers.close) + after;
  if (choice_.in_reasoning) return close + " ";
  return "( " + open + " " + close + " )? ";
}

// Behind the reasoning.
std::string ToolGrammar::answer() {
  if (choice_.kind != ToolChoice::Kind::kAuto) return "calls";
  switch (style_.tools) {
    case ToolStyle::kHarmony:
      return "( calls | " + token("<|channel|>") + " \"final\" " + token("<|message|>") + " " +
             text_without("<|end|>") + " )";
    case ToolStyle::kLlama3:
      return "( calls | space ( [^{ \\t\\n] " + text_without("<|python_tag|>") + " )? )";
    case ToolStyle::kMistral: return text_without("[TOOL_CALLS]") + " calls?";
    case ToolStyle::kGemma: return text_without("<|tool_call>") + " calls?";
    case ToolStyle::kFunctionGemma: return text_without("<start_function_call>") + " calls?";
    case ToolStyle::kMiniMax: return text_without("<minimax:tool_call>") + " calls?";
    case ToolStyle::kKimi: return text_without("<|tool_calls_section_begin|>") + " calls?";
    case ToolStyle::kDeepSeek: return text_without("<｜tool▁calls▁begin｜>") + " calls?";
    case ToolStyle::kLfm2: return text_without("<|tool_call_start|>") + " calls?";
    case ToolStyle::kLongcat: return text_without("<longcat_tool_call>") + " calls?";
    default: return text_without("<tool_call>") + " calls?";
  }
}

// Parameters in the schema's order, the required ones always: rule P-a-i is what follows when none
// was written before the i-th, P-b-i when one was.
std::string ToolGrammar::parameters(const Json& function, const ParameterForm& form) {
  auto schema = function.find("parameters");
  if (!strict(function) || schema == function.end() || !schema->is_object()) {
    return any_parameters(form);
  }
  auto properties = schema->find("properties");
  if (properties == schema->end() || !properties->is_object() || properties->empty()) return "";
  auto required = schema->find("required");
  auto is_required = [&](const std::string& name) {
    return required != schema->end() && required->is_array() &&
           std::find(required->begin(), required->end(), name) != required->end();
  };
  size_t i = 0;
  for (const auto& [name, property] : properties->items()) {
    const std::string item = fmt::format("{}-p-{}", prefix_, i);
    define(item, parameter(name, property, *schema, form));
    const bool last = ++i == properties->size();
    const std::string next = last ? "" : fmt::format(" {}-b-{}", prefix_, i);
    const std::string skip = last ? "\"\"" : fmt::format("{}-a-{}", prefix_, i);
    const std::string skip_next = last ? "\"\"" : fmt::format("{}-b-{}", prefix_, i);
    const bool needed = is_required(name);
    define(fmt::format("{}-a-{}", prefix_, i - 1), item + next + (needed ? "" : " | " + skip));
    define(fmt::format("{}-b-{}", prefix_, i - 1),
           form.separator + " " + item + next + (needed ? "" : " | " + skip_next));
  }
  return prefix_ + "-a-0";
}

std::string ToolGrammar::parameter(const std::string& name, const Json& schema, const Json& root,
                                   const ParameterForm& form) {
  return fmt::format("{} {} {} {} {}", form.before_name, literal(name), form.after_name,
                     value(schema, root, form), form.after_value);
}

std::string ToolGrammar::value(const Json& schema, const Json& root, const ParameterForm& form) {
  const TypeMask types = allowed_types(schema, root);
  const bool quoted = form.close_text == "<|\"|>" || form.close_text == "<escape>";
  const std::string quote = quoted ? token(form.close_text) : "";
  const bool text = !form.close_text.empty() &&
                    (types == kStringType || (!quoted && (types & kStringType) != 0));
  if (text) {
    std::string body = text_without(form.close_text);
    auto values = schema.is_object() ? schema.find("enum") : schema.end();
    if (types == kStringType && schema.is_object() && values != schema.end()) {
      body = "(";
      for (const Json& entry : *values) {
        if (!entry.is_string()) continue;
        body += (body.size() > 1 ? " | " : " ") + literal(entry.get<std::string>());
      }
      body += " )";
    }
    return quote.empty() ? body : quote + " " + body + " " + quote;
  }
  if (types == kBooleanType && style_.tools == ToolStyle::kLfm2) return "( \"True\" | \"False\" )";
  Json embedded = schema.is_object() ? schema : Json::object();
  for (const char* key : {"$defs", "definitions"}) {
    if (root.contains(key) && !embedded.contains(key)) embedded[key] = root[key];
  }
  return "%json_schema" + embedded.dump();
}

std::string ToolGrammar::any_parameters(const ParameterForm& form) {
  std::string value = "%json_schema{}";
  if (form.close_text == "<|\"|>" || form.close_text == "<escape>") {
    const std::string quote = token(form.close_text);
    value = "( " + quote + " " + text_without(form.close_text) + " " + quote + " | " + value + " )";
  } else if (!form.close_text.empty()) {
    value = text_without(form.close_text);
  }
  const std::string one = fmt::format("{} [a-zA-Z0-9_]+ {} {} {}", form.before_name,
                                      form.after_name, value, form.after_value);
  if (form.separator.empty()) return "( " + one + " )*";
  return fmt::format("( {0} ( {1} {0} )* )?", one, form.separator);
}

}  // namespace

std::string tool_grammar(AnswerStyle style, const Json& tools, const ToolChoice& choice) {
  if (style.tools == ToolStyle::kNone) {
    throw Error(ErrorKind::kUsage,
                "[tools] the model's chat template shows no way to write tool calls; name one of its "
                "tool call styles if it has one");
  }
  std::vector<const Json*> functions;
  std::vector<std::string> names;
  if (tools.is_array()) {
    for (const Json& tool : tools) {
      const Json* function = tool_function(tool);
      if (function == nullptr) continue;
      names.push_back(function->at("name").get<std::string>());
      if (choice.kind == ToolChoice::Kind::kNamed && names.back() != choice.name) continue;
      functions.push_back(function);
    }
  }
  if (functions.empty() && names.empty()) {
    throw Error(ErrorKind::kUsage, "[tools] a call is asked for and no tools are given");
  }
  if (functions.empty()) {
    throw Error(ErrorKind::kUsage, "[tools] tool_choice names '{}'; the tools are {}", choice.name,
                fmt::join(names, ", "));
  }
  return ToolGrammar(style, choice).write(functions);
}

}  // namespace mica

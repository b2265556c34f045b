#include "text/answer/answer_test.h"

#include "text/template/chat_template.h"

namespace mica::answer_test {
namespace {

const std::string kEach = "{%- for c in messages[0].tool_calls -%}{%- set f = c.function -%}";
const std::string kPairs = "{%- for k, v in f.arguments.items() -%}";
const std::string kText = "{{ v if v is string else v | tojson }}";
const std::string kGemmaMacro =
    "{%- macro g(v) -%}{%- if v is string -%}{{ q ~ v ~ q }}{%- elif v is mapping -%}{{ '{' }}"
    "{%- for k, w in v.items() -%}{{ k ~ ':' ~ g(w) ~ ('' if loop.last else ',') }}{%- endfor "
    "-%}}"
    "{%- elif v is iterable -%}[{%- for w in v -%}{{ g(w) ~ ('' if loop.last else ',') }}"
    "{%- endfor -%}]{%- else -%}{{ v | tojson }}{%- endif -%}{%- endmacro -%}";
const std::string kPythonMacro =
    "{%- macro p(v) -%}{%- if v is string -%}{{ v | tojson }}{%- elif v is mapping -%}{{ '{' }}"
    "{%- for k, w in v.items() -%}{{ k | tojson ~ ': ' ~ p(w) ~ ('' if loop.last else ', ') }}"
    "{%- endfor -%}}{%- elif v is sequence -%}[{%- for w in v -%}{{ p(w) ~ ('' if loop.last else "
    "', ') }}{%- endfor -%}]{%- elif v is none -%}None{%- elif v is true -%}True{%- elif v is "
    "false -%}False{%- else -%}{{ v | tojson }}{%- endif -%}{%- endmacro -%}";

std::string in_tags(ToolStyle style) {
  switch (style) {
    case ToolStyle::kQwen3Coder:
      return kEach + "{{ '\n<tool_call>\n<function=' ~ f.name ~ '>\n' }}" + kPairs +
             "{{ '<parameter=' ~ k ~ '>\n' }}" + kText +
             "{{ '\n</parameter>\n' }}{%- endfor -%}{{ '</function>\n</tool_call>' }}{%- endfor "
             "-%}";
    case ToolStyle::kGlm:
    case ToolStyle::kLongcat: {
      const std::string p = style == ToolStyle::kGlm ? "" : "longcat_";
      return kEach + "{{ '\n<" + p + "tool_call>' ~ f.name }}" + kPairs + "{{ '\n<" + p +
             "arg_key>' ~ k ~ '</" + p + "arg_key>\n<" + p + "arg_value>' }}" + kText + "{{ '</" +
             p + "arg_value>' }}{%- endfor -%}{{ '\n</" + p + "tool_call>' }}{%- endfor -%}";
    }
    case ToolStyle::kMiniMax:
      return "{{ '\n<minimax:tool_call>' }}" + kEach +
             "{{ '\n<invoke name=\"' ~ f.name ~ '\">' }}" + kPairs +
             "{{ '\n<parameter name=\"' ~ k ~ '\">' }}" + kText +
             "{{ '</parameter>' }}{%- endfor -%}{{ '\n</invoke>' }}{%- endfor -%}"
             "{{ '\n</minimax:tool_call>' }}";
    default: return "";
  }
}

std::string in_notation(ToolStyle style) {
  switch (style) {
    case ToolStyle::kLfm2:
      return kPythonMacro + "{{ '<|tool_call_start|>[' }}" + kEach + "{{ f.name ~ '(' }}" + kPairs +
             "{{ k ~ '=' ~ p(v) ~ ('' if loop.last else ', ') }}{%- endfor -%}"
             "{{ ')' ~ ('' if loop.last else ', ') }}{%- endfor -%}{{ ']<|tool_call_end|>' }}";
    case ToolStyle::kGemma:
    case ToolStyle::kFunctionGemma: {
      const bool four = style == ToolStyle::kGemma;
      const std::string open = four ? "<|tool_call>" : "<start_function_call>";
      const std::string close = four ? "<tool_call|>" : "<end_function_call>";
      return std::string("{%- set q = '") + (four ? "<|\"|>" : "<escape>") + "' -%}" + kGemmaMacro +
             kEach + "{{ '" + open + "call:' ~ f.name ~ g(f.arguments) ~ '" + close +
             "' }}{%- endfor -%}";
    }
    default: return in_tags(style);
  }
}

}  // namespace

std::string call_template(ToolStyle style) {
  switch (style) {
    case ToolStyle::kHermes:
      return kEach +
             "{{ '\n<tool_call>\n{\"name\": ' ~ f.name | tojson ~ ', \"arguments\": ' ~ "
             "f.arguments | tojson ~ '}\n</tool_call>' }}{%- endfor -%}";
    case ToolStyle::kLlama3:
      return "{{ '<|python_tag|>' }}" + kEach +
             "{{ '{\"name\": ' ~ f.name | tojson ~ ', \"parameters\": ' ~ f.arguments | tojson ~ "
             "'}' ~ "
             "('' if loop.last else '; ') }}{%- endfor -%}";
    case ToolStyle::kMistral:
      return kEach +
             "{{ '[TOOL_CALLS]' ~ f.name ~ '[ARGS]' ~ f.arguments | tojson }}{%- endfor -%}";
    case ToolStyle::kKimi:
      return "{{ '<|tool_calls_section_begin|>' }}" + kEach +
             "{{ '<|tool_call_begin|>functions.' ~ f.name ~ ':' ~ loop.index0 ~ "
             "'<|tool_call_argument_begin|>' ~ f.arguments | tojson ~ '<|tool_call_end|>' }}"
             "{%- endfor -%}{{ '<|tool_calls_section_end|>' }}";
    case ToolStyle::kDeepSeek:
      return "{{ '<｜tool▁calls▁begin｜>' }}" + kEach +
             "{{ '<｜tool▁call▁begin｜>' ~ f.name ~ '<｜tool▁sep｜>' ~ f.arguments | tojson ~ "
             "'<｜tool▁call▁end｜>' }}{%- endfor -%}{{ '<｜tool▁calls▁end｜>' }}";
    case ToolStyle::kHarmony:
      return kEach +
             "{{ ('<|start|>assistant' if not loop.first else '') ~ "
             "'<|channel|>commentary to=functions.' ~ f.name ~ ' <|constrain|>json<|message|>' "
             "~ f.arguments | tojson ~ '<|call|>' }}{%- endfor -%}";
    default: return in_notation(style);
  }
}

std::string rendered(ToolStyle style, const std::vector<Call>& calls) {
  Json list = Json::array();
  for (const Call& call : calls) {
    list.push_back({{"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  const Json messages =
      Json::array({{{"role", "assistant"}, {"content", ""}, {"tool_calls", list}}});
  return ChatTemplate::from_source(call_template(style), Json::object())
      ->render(messages, nullptr, nullptr, {.add_generation_prompt = false});
}

}  // namespace mica::answer_test

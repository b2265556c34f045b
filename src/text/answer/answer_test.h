// What the tests of the answer parser share: parts put together, cuttings, calls rendered per style.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "text/answer/answer_parser.h"
#include "text/template/chat_template.h"

namespace mica::answer_test {

using Json = nlohmann::ordered_json;
using Kind = AnswerPart::Kind;
using Parts = std::vector<AnswerPart>;

struct Style {
  const char* name;
  AnswerStyle style;
};
inline std::vector<Style> all_styles() {
  using R = ReasoningStyle;
  using T = ToolStyle;
  return {{"hermes", {R::kThink, T::kHermes}},     {"qwen3_coder", {R::kThink, T::kQwen3Coder}},
          {"glm", {R::kThink, T::kGlm}},           {"longcat", {R::kLongcat, T::kLongcat}},
          {"minimax", {R::kThink, T::kMiniMax}},   {"llama3", {R::kNone, T::kLlama3}},
          {"mistral", {R::kMistral, T::kMistral}}, {"kimi", {R::kThink, T::kKimi}},
          {"deepseek", {R::kThink, T::kDeepSeek}}, {"lfm2", {R::kThink, T::kLfm2}},
          {"gemma", {R::kGemma, T::kGemma}},       {"function_gemma", {R::kNone, T::kFunctionGemma}},
          {"harmony", {R::kHarmony, T::kHarmony}}};
}

// The template that writes the calls of messages[0] in a style, as models' templates do.
inline std::string call_template(ToolStyle style) {
  const std::string each = "{%- for c in messages[0].tool_calls -%}{%- set f = c.function -%}";
  const std::string pairs = "{%- for k, v in f.arguments.items() -%}";
  const std::string text = "{{ v if v is string else v | tojson }}";
  const std::string gemma =
      "{%- macro g(v) -%}{%- if v is string -%}{{ q ~ v ~ q }}{%- elif v is mapping -%}{"
      "{%- for k, w in v.items() -%}{{ k ~ ':' ~ g(w) ~ ('' if loop.last else ',') }}{%- endfor -%}}"
      "{%- elif v is iterable -%}[{%- for w in v -%}{{ g(w) ~ ('' if loop.last else ',') }}"
      "{%- endfor -%}]{%- else -%}{{ v | tojson }}{%- endif -%}{%- endmacro -%}";
  const std::string python =
      "{%- macro p(v) -%}{%- if v is string -%}{{ v | tojson }}{%- elif v is mapping -%}{"
      "{%- for k, w in v.items() -%}{{ k | tojson ~ ': ' ~ p(w) ~ ('' if loop.last else ', ') }}"
      "{%- endfor -%}}{%- elif v is sequence -%}[{%- for w in v -%}{{ p(w) ~ ('' if loop.last else "
      "', ') }}{%- endfor -%}]{%- elif v is none -%}None{%- elif v is true -%}True{%- elif v is "
      "false -%}False{%- else -%}{{ v | tojson }}{%- endif -%}{%- endmacro -%}";
  switch (style) {
    case ToolStyle::kHermes:
      return each + "{{ '\n<tool_call>\n{\"name\": ' ~ f.name | tojson ~ ', \"arguments\": ' ~ "
                    "f.arguments | tojson ~ '}\n</tool_call>' }}{%- endfor -%}";
    case ToolStyle::kQwen3Coder:
      return each + "{{ '\n<tool_call>\n<function=' ~ f.name ~ '>\n' }}" + pairs +
             "{{ '<parameter=' ~ k ~ '>\n' }}" + text +
             "{{ '\n</parameter>\n' }}{%- endfor -%}{{ '</function>\n</tool_call>' }}{%- endfor -%}";
    case ToolStyle::kGlm:
    case ToolStyle::kLongcat: {
      const std::string p = style == ToolStyle::kGlm ? "" : "longcat_";
      return each + "{{ '\n<" + p + "tool_call>' ~ f.name }}" + pairs + "{{ '\n<" + p +
             "arg_key>' ~ k ~ '</" + p + "arg_key>\n<" + p + "arg_value>' }}" + text + "{{ '</" + p +
             "arg_value>' }}{%- endfor -%}{{ '\n</" + p + "tool_call>' }}{%- endfor -%}";
    }
    case ToolStyle::kMiniMax:
      return "{{ '\n<minimax:tool_call>' }}" + each + "{{ '\n<invoke name=\"' ~ f.name ~ '\">' }}" +
             pairs + "{{ '\n<parameter name=\"' ~ k ~ '\">' }}" + text +
             "{{ '</parameter>' }}{%- endfor -%}{{ '\n</invoke>' }}{%- endfor -%}"
             "{{ '\n</minimax:tool_call>' }}";
    case ToolStyle::kLlama3:
      return "{{ '<|python_tag|>' }}" + each +
             "{{ '{\"name\": ' ~ f.name | tojson ~ ', \"parameters\": ' ~ f.arguments | tojson ~ '}' ~ "
             "('' if loop.last else '; ') }}{%- endfor -%}";
    case ToolStyle::kMistral:
      return each + "{{ '[TOOL_CALLS]' ~ f.name ~ '[ARGS]' ~ f.arguments | tojson }}{%- endfor -%}";
    case ToolStyle::kKimi:
      return "{{ '<|tool_calls_section_begin|>' }}" + each +
             "{{ '<|tool_call_begin|>functions.' ~ f.name ~ ':' ~ loop.index0 ~ "
             "'<|tool_call_argument_begin|>' ~ f.arguments | tojson ~ '<|tool_call_end|>' }}"
             "{%- endfor -%}{{ '<|tool_calls_section_end|>' }}";
    case ToolStyle::kDeepSeek:
      return "{{ '<｜tool▁calls▁begin｜>' }}" + each +
             "{{ '<｜tool▁call▁begin｜>' ~ f.name ~ '<｜tool▁sep｜>' ~ f.arguments | tojson ~ "
             "'<｜tool▁call▁end｜>' }}{%- endfor -%}{{ '<｜tool▁calls▁end｜>' }}";
    case ToolStyle::kLfm2:
      return python + "{{ '<|tool_call_start|>[' }}" + each + "{{ f.name ~ '(' }}" + pairs +
             "{{ k ~ '=' ~ p(v) ~ ('' if loop.last else ', ') }}{%- endfor -%}"
             "{{ ')' ~ ('' if loop.last else ', ') }}{%- endfor -%}{{ ']<|tool_call_end|>' }}";
    case ToolStyle::kGemma:
    case ToolStyle::kFunctionGemma: {
      const bool four = style == ToolStyle::kGemma;
      const std::string open = four ? "<|tool_call>" : "<start_function_call>";
      const std::string close = four ? "<tool_call|>" : "<end_function_call>";
      return std::string("{%- set q = '") + (four ? "<|\"|>" : "<escape>") + "' -%}" + gemma + each +
             "{{ '" + open + "call:' ~ f.name ~ g(f.arguments) ~ '" + close + "' }}{%- endfor -%}";
    }
    case ToolStyle::kHarmony:
      return each + "{{ ('<|start|>assistant' if not loop.first else '') ~ "
                    "'<|channel|>commentary to=functions.' ~ f.name ~ ' <|constrain|>json<|message|>' "
                    "~ f.arguments | tojson ~ '<|call|>' }}{%- endfor -%}";
    case ToolStyle::kNone: break;
  }
  return "";
}

struct Call {
  std::string name;
  Json arguments;
};

inline std::string rendered(ToolStyle style, const std::vector<Call>& calls) {
  Json list = Json::array();
  for (const Call& call : calls) {
    list.push_back({{"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  const Json messages = Json::array({{{"role", "assistant"}, {"content", ""}, {"tool_calls", list}}});
  return ChatTemplate::from_source(call_template(style), Json::object())
      ->render(messages, nullptr, nullptr, {.add_generation_prompt = false});
}

// Neighbours of one kind put together.
inline Parts joined(const Parts& parts) {
  Parts list;
  for (const AnswerPart& part : parts) {
    const bool text = part.kind != Kind::kToolBegin && part.kind != Kind::kToolEnd;
    if (text && !list.empty() && list.back().kind == part.kind && list.back().tool == part.tool) {
      list.back().text += part.text;
    } else {
      list.push_back(part);
    }
  }
  return list;
}

inline std::string described(const Parts& parts) {
  std::string out;
  for (const AnswerPart& part : joined(parts)) {
    switch (part.kind) {
      case Kind::kContent: out += "C{" + part.text + "}"; break;
      case Kind::kReasoning: out += "R{" + part.text + "}"; break;
      case Kind::kToolBegin: out += "B{" + part.name + "}"; break;
      case Kind::kToolArguments: out += "A{" + part.text + "}"; break;
      case Kind::kToolEnd: out += "E"; break;
    }
  }
  return out;
}

struct Outcome {
  Parts parts;
  std::string warning;
  int32_t tools = 0;
};

inline Outcome parse(AnswerStyle style, const AnswerParserOptions& options,
                     const std::vector<std::string>& pieces, bool complete = true) {
  AnswerParser parser(style, options);
  Outcome outcome;
  auto take = [&](Parts parts) {
    outcome.parts.insert(outcome.parts.end(), parts.begin(), parts.end());
  };
  for (const std::string& piece : pieces) take(parser.add(piece));
  take(parser.finish(complete));
  outcome.parts = joined(outcome.parts);
  outcome.warning = parser.warning();
  outcome.tools = parser.tools();
  return outcome;
}

// The characters of a text.
inline std::vector<std::string> characters(const std::string& text) {
  std::vector<std::string> list;
  for (char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0) == 0x80 && !list.empty()) {
      list.back() += c;
    } else {
      list.emplace_back(1, c);
    }
  }
  return list;
}

inline std::vector<std::string> random_pieces(const std::string& text, std::mt19937_64& random) {
  std::vector<std::string> pieces = {""};
  for (const std::string& c : characters(text)) {
    if (random() % 5 == 0) pieces.emplace_back();
    pieces.back() += c;
  }
  return pieces;
}

// Parses the text whole, and checks that no cutting changes anything.
inline Outcome parse_all_ways(AnswerStyle style, const AnswerParserOptions& options,
                              const std::string& text, bool complete = true) {
  const Outcome whole = parse(style, options, {text}, complete);
  auto check = [&](const std::vector<std::string>& pieces) {
    const Outcome other = parse(style, options, pieces, complete);
    EXPECT_EQ(described(other.parts), described(whole.parts)) << text;
    EXPECT_EQ(other.parts, whole.parts);
    EXPECT_EQ(other.warning, whole.warning) << text;
    EXPECT_EQ(other.tools, whole.tools);
  };
  const std::vector<std::string> single = characters(text);
  check(single);
  std::string head;
  for (const std::string& c : single) {
    head += c;
    check({head, text.substr(head.size())});
    if (::testing::Test::HasFailure()) break;
  }
  std::mt19937_64 random(text.size());
  for (int i = 0; i < 20; ++i) check(random_pieces(text, random));
  // Whole calls alone are the same calls.
  AnswerParserOptions held = options;
  held.whole_calls = true;
  const Outcome calls = parse(style, held, single, complete);
  EXPECT_EQ(calls.tools, whole.tools);
  EXPECT_EQ(std::count_if(calls.parts.begin(), calls.parts.end(),
                          [](const auto& part) { return part.kind == Kind::kToolBegin; }),
            calls.tools);
  return whole;
}

inline std::shared_ptr<const Json> shared(Json tools) {
  return std::make_shared<const Json>(std::move(tools));
}

}  // namespace mica::answer_test

#include "text/answer/tool_grammar.h"

#include "base/error.h"
#include "text/answer/answer_test.h"
#include "text/answer/gbnf_test.h"
#include "text/answer/gbnf_text.h"

namespace mica::answer_test {
namespace {

Json tools() {
  return Json::parse(R"([{"type": "function", "function": {"name": "f", "strict": true,
    "parameters": {"type": "object", "required": ["s"], "properties": {"s": {"type": "string"},
      "unit": {"type": "string", "enum": ["c", "f"]}, "i": {"type": "integer"}}}}}, {"name": "g"}])");
}

TEST(ToolGrammar, TextWithoutAMarker) {
  std::mt19937_64 random(5);
  for (std::string marker : {"</a>", "<|\"|>", "<｜日>", "[X]", "<"}) {
    const Grammar grammar("root ::= " + gbnf::text_without(marker) + "\n");
    const std::vector<std::string> parts = characters(marker + "x[");
    for (int i = 0; i < 300; ++i) {
      std::string text;
      for (uint64_t k = random() % 9; k > 0; --k) {
        text +=
            random() % 3 == 0 ? marker.substr(0, marker.find('>')) : parts[random() % parts.size()];
      }
      EXPECT_EQ(grammar.matches(text), text.find(marker) == std::string::npos) << marker << text;
    }
  }
}

TEST(ToolGrammar, HermesAsWritten) {
  const std::string text = tool_grammar({ReasoningStyle::kThink, ToolStyle::kHermes},
                                        Json::parse(R"([{"name": "a\"b"}])"), {});
  EXPECT_EQ(text,
            "call-0 ::= %token\"<tool_call>\" \"\\n\" \"{\\\"name\\\": \\\"a\\\\\\\"b\\\", "
            "\\\"arguments\\\": \" %json_object \"}\" \"\\n\" %token\"</tool_call>\"\n"
            "call ::= call-0\ncalls ::= call ( \"\\n\" call )*\n"
            "space ::= [ \\t\\n]? [ \\t\\n]? [ \\t\\n]?\nroot ::= calls\n");
}

TEST(ToolGrammar, ParametersInTags) {
  const Grammar grammar(tool_grammar({ReasoningStyle::kNone, ToolStyle::kQwen3Coder}, tools(), {}));
  auto call = [](const std::string& parameters) {
    return "<tool_call>\n<function=f>\n" + parameters + "</function>\n</tool_call>";
  };
  auto parameter = [](const std::string& key, const std::string& value) {
    return "<parameter=" + key + ">\n" + value + "\n</parameter>\n";
  };
  const std::string s = parameter("s", "any <text>\n");
  EXPECT_TRUE(grammar.matches(call(s)));
  EXPECT_TRUE(grammar.matches(call(s + parameter("unit", "f") + parameter("i", "12"))));
  EXPECT_TRUE(grammar.matches(call(s + parameter("i", "12"))));
  EXPECT_FALSE(grammar.matches(call("")));                               // "s" is required
  EXPECT_FALSE(grammar.matches(call(s + parameter("unit", "kelvin"))));  // not of the list
  EXPECT_FALSE(grammar.matches(call(s + parameter("i", "many"))));       // no JSON
  EXPECT_FALSE(grammar.matches(call(s + parameter("other", "x"))));
  EXPECT_FALSE(grammar.matches(call(parameter("i", "12") + s)));  // the schema's order
  EXPECT_TRUE(grammar.matches(call(s) + "\n" + call(s)));
  const Grammar one(
      tool_grammar({ReasoningStyle::kNone, ToolStyle::kQwen3Coder}, tools(), {.parallel = false}));
  EXPECT_TRUE(one.matches(call(s)));
  EXPECT_FALSE(one.matches(call(s) + "\n" + call(s)));
}

TEST(ToolGrammar, OptionalParametersWithCommas) {
  const Grammar grammar(tool_grammar({ReasoningStyle::kNone, ToolStyle::kLfm2},
                                     Json::parse(R"([{"name": "f", "parameters": {"properties": {
      "a": {"type": "boolean"}, "b": {"type": "integer"}, "c": {"type": "integer"}},
      "required": ["b"]}}])"),
                                     {}));
  auto takes = [&](const std::string& arguments) {
    return grammar.matches("<|tool_call_start|>[f(" + arguments + ")]<|tool_call_end|>");
  };
  EXPECT_TRUE(takes("b=1"));
  EXPECT_TRUE(takes("a=True, b=1"));
  EXPECT_TRUE(takes("b=1, c=2"));
  EXPECT_TRUE(takes("a=False, b=1, c=2"));
  EXPECT_FALSE(takes("a=True"));
  EXPECT_FALSE(takes("a=True,b=1"));
  EXPECT_FALSE(takes("b=1, "));
  EXPECT_FALSE(takes(""));
}

TEST(ToolGrammar, Reasoning) {
  const AnswerStyle style{ReasoningStyle::kThink, ToolStyle::kHermes};
  const std::string call = "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>";
  const Grammar opened(tool_grammar(style, tools(), {.in_reasoning = true}));
  EXPECT_TRUE(opened.matches("I think < 1\n</think>\n\n" + call));
  EXPECT_FALSE(opened.matches(call));
  const Grammar may(tool_grammar(style, tools(), {.may_reason = true}));
  EXPECT_TRUE(may.matches("<think>\nHm.\n</think>\n\n" + call));
  EXPECT_TRUE(may.matches(call));
  EXPECT_FALSE(may.matches("Hm.</think>" + call));
  const Grammar harmony(
      tool_grammar({ReasoningStyle::kHarmony, ToolStyle::kHarmony}, tools(), {.may_reason = true}));
  const std::string to_g = "<|channel|>commentary to=functions.g <|constrain|>json<|message|>{}";
  EXPECT_TRUE(harmony.matches("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant" + to_g));
  EXPECT_TRUE(harmony.matches(to_g));
}

TEST(ToolGrammar, AutoBindsStrictToolsOnly) {
  const Grammar grammar(tool_grammar({ReasoningStyle::kNone, ToolStyle::kGlm}, tools(),
                                     {.kind = ToolChoice::Kind::kAuto}));
  auto call = [](const std::string& name, const std::string& key) {
    return "Text. <tool_call>" + name + "\n<arg_key>" + key +
           "</arg_key>\n<arg_value>x</arg_value>\n" + "</tool_call>";
  };
  EXPECT_TRUE(grammar.matches(call("f", "s")));
  EXPECT_FALSE(grammar.matches(call("f", "x")));
  EXPECT_TRUE(grammar.matches(call("g", "x")));
  EXPECT_FALSE(grammar.matches(call("h", "x")));
  EXPECT_TRUE(grammar.matches("Text alone, a < b"));
  EXPECT_TRUE(grammar.matches(""));
}

TEST(ToolGrammar, Errors) {
  const AnswerStyle hermes{ReasoningStyle::kNone, ToolStyle::kHermes};
  auto message = [](auto&& action) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      return std::string(error.what());
    }
    return std::string("none");
  };
  EXPECT_EQ(message([&] {
              tool_grammar(hermes, tools(), {.kind = ToolChoice::Kind::kNamed, .name = "h"});
            }),
            "[tools] tool_choice names 'h'; the tools are f, g");
  EXPECT_EQ(message([&] { tool_grammar(hermes, Json::array(), {}); }),
            "[tools] a call is asked for and no tools are given");
  EXPECT_NE(message([&] { tool_grammar({}, tools(), {}); }).find("no way to write"),
            std::string::npos);
}

}  // namespace
}  // namespace mica::answer_test

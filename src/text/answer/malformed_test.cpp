// Calls that are broken or cut: nothing is lost, nothing invented, and what follows is understood.
#include "text/answer/answer_test.h"

namespace mica::answer_test {
namespace {

struct Result {
  std::string parts, warning;
  int32_t tools = 0;
};

Result parsed(AnswerStyle style, const std::string& text, bool complete = true) {
  static const auto tools = shared(Json::parse(R"([{"name": "f", "parameters": {"type": "object",
      "properties": {"s": {"type": "string"}, "i": {"type": "integer"}}}}])"));
  const Outcome outcome = parse_all_ways(style, {.tools = tools}, text, complete);
  return {described(outcome.parts), outcome.warning, outcome.tools};
}

constexpr AnswerStyle kQwen{ReasoningStyle::kThink, ToolStyle::kHermes};
constexpr AnswerStyle kCoder{ReasoningStyle::kThink, ToolStyle::kQwen3Coder};

void expect_content(AnswerStyle style, const std::string& text, const std::string& before = "") {
  const Result result = parsed(style, text);
  EXPECT_EQ(result.parts, before + "C{" + text + "}");
  EXPECT_NE(result.warning, "") << text;
  EXPECT_EQ(result.tools, 0);
}

TEST(MalformedCalls, BrokenBeforeTheNameAreContent) {
  for (std::string text :
       {"<tool_call>not json</tool_call>", "x\n<tool_call>{\"arguments\": {}}</tool_call> y",
        "<tool_call>{\"name\": 5}</tool_call>", "<tool_call>", "<tool_call>{\"name\": \"f",
        "<tool_call>{\"name\": \"\"}</tool_call>", "<tool_call></tool_call>",
        "<tool_call>{name: \"f\"}</tool_call>"}) {
    expect_content(kQwen, text);
  }
  expect_content(kCoder, "<tool_call>\n<function=>\n</function>\n</tool_call>");
  expect_content({ReasoningStyle::kNone, ToolStyle::kMiniMax},
                 "<minimax:tool_call>\n<call name=\"f\"></call></minimax:tool_call>");
  expect_content({ReasoningStyle::kNone, ToolStyle::kGlm},
                 "<tool_call>I would call it</tool_call>");
  expect_content({ReasoningStyle::kNone, ToolStyle::kMistral}, "[TOOL_CALLS]f(x=1)");
  expect_content({ReasoningStyle::kNone, ToolStyle::kKimi},
                 "<|tool_calls_section_begin|><|tool_call_begin|>f<|tool_call_end|>");
  expect_content({ReasoningStyle::kNone, ToolStyle::kLfm2},
                 "<|tool_call_start|>[1]<|tool_call_end|>");
  expect_content({ReasoningStyle::kNone, ToolStyle::kGemma}, "<|tool_call>f{}<tool_call|>");
  expect_content({ReasoningStyle::kNone, ToolStyle::kLlama3}, "<|python_tag|>print(\"x\")");
  expect_content({ReasoningStyle::kNone, ToolStyle::kLlama3}, "<|python_tag|>.call(i=1)");
  expect_content({ReasoningStyle::kHarmony, ToolStyle::kHarmony},
                 "<|channel|>commentary to=functions.f <|message|>x = 1<|call|>");
}

TEST(MalformedCalls, ANulIsNoEndOfAValue) {
  const std::string nul(1, '\0');
  const Result result = parsed(kCoder, "<tool_call>\n<function=f>\n<parameter=i>\n0\n" + nul +
                                           "1\n</parameter>\n</function>\n</tool_call>");
  EXPECT_EQ(result.parts, R"(B{f}A{{"i": "0\n\u00001"}}E)");
  EXPECT_EQ(result.tools, 1);
}

TEST(MalformedCalls, BrokenAfterTheNameHaveNoEnd) {
  const std::string bad = "<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": no}}</tool_call>";
  const Result result = parsed(kQwen, "a " + bad + " b");
  EXPECT_EQ(result.parts, "C{a}B{f}A{{\"s\": }C{ " + bad + " b}");
  EXPECT_EQ(result.warning, "call 'f' is malformed and given as content: a word that is no value");
  EXPECT_EQ(result.tools, 0);
  // The calls around are calls.
  const std::string good = "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>";
  EXPECT_EQ(parsed(kQwen, good + bad + good).parts,
            "B{f}A{{}}EB{f}A{{\"s\": }C{" + bad + "}B{f}A{{}}E");
  EXPECT_EQ(parsed(kQwen, bad + good).tools, 1);
  expect_content(kQwen, "<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>", "B{f}");
  expect_content(kCoder, "<tool_call>\n<function=f>\nwhat\n</function>\n</tool_call>", "B{f}");
}

TEST(MalformedCalls, WholeCallsShowNothingOfABrokenOne) {
  AnswerParserOptions options{.whole_calls = true};
  const std::string bad = "<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": no}}</tool_call>";
  const Outcome outcome =
      parse(kQwen, options,
            {"<tool_call>{\"name\": \"g\"}</tool_call>" + bad + "<tool_call>{\"name\": \"h\"}"});
  EXPECT_EQ(described(outcome.parts), "B{g}A{{}}EC{" + bad + "}B{h}A{{}}E");
  EXPECT_EQ(outcome.parts.back().tool, 1);
}

TEST(MalformedCalls, CutInsideAValue) {
  for (std::string text : {"<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": \"rm -rf /tm",
                           "<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": \"a\", \"i\":",
                           "<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": \"a\\"}) {
    const Result result = parsed(kQwen, text);
    EXPECT_TRUE(result.parts.starts_with("B{f}A{{\"s\": \"")) << result.parts;
    EXPECT_TRUE(result.parts.ends_with("C{" + text + "}")) << result.parts;
    EXPECT_EQ(result.warning, "call 'f' is malformed and given as content: the answer ends inside");
    EXPECT_EQ(result.tools, 0);
  }
  EXPECT_EQ(parsed(kCoder, "<tool_call><function=f><parameter=s>rm -rf /tm").tools, 0);
}

TEST(MalformedCalls, EndsThatAloneAreMissing) {
  struct Case {
    AnswerStyle style;
    std::string text, parts;
    bool cut_too;  // closed even where the model did not end the answer
  };
  const Case cases[] = {
      {kQwen, "<tool_call>{\"name\": \"f\", \"arguments\": {\"i\": 1}", "B{f}A{{\"i\": 1}}E", true},
      {kQwen, "<tool_call>{\"name\": \"f\", \"arguments\": {\"i\": [1, {\"a\": 2",
       "B{f}A{{\"i\": [1, {\"a\": 2}]}}E", false},
      {kCoder, "<tool_call><function=f><parameter=s>a</parameter>", "B{f}A{{\"s\": \"a\"}}E",
       false},
      {{ReasoningStyle::kNone, ToolStyle::kGlm},
       "<tool_call>f<arg_key>s</arg_key><arg_value>a</arg_value>",
       "B{f}A{{\"s\": \"a\"}}E",
       false},
      {{ReasoningStyle::kNone, ToolStyle::kMistral},
       "[TOOL_CALLS]f[ARGS]{\"i\": 12",
       "B{f}A{{\"i\": 12}}E",
       false},
      {{ReasoningStyle::kNone, ToolStyle::kLfm2},
       "<|tool_call_start|>[f(i=1, s='a'",
       "B{f}A{{\"i\": 1, \"s\": \"a\"}}E",
       false},
      {{ReasoningStyle::kNone, ToolStyle::kGemma},
       "<|tool_call>call:f{i:1,s:<|\"|>a<|\"|>",
       "B{f}A{{\"i\": 1, \"s\": \"a\"}}E",
       false},
      {{ReasoningStyle::kNone, ToolStyle::kKimi},
       "<|tool_call_begin|>f<|tool_call_argument_begin|>{\"i\": 1",
       "B{f}A{{\"i\": 1}}E",
       false},
      {{ReasoningStyle::kHarmony, ToolStyle::kHarmony},
       "<|channel|>commentary to=functions.f<|message|>{\"i\": 1",
       "B{f}A{{\"i\": 1}}E",
       false},
  };
  for (const Case& c : cases) {
    const Result result = parsed(c.style, c.text);
    EXPECT_EQ(result.parts, c.parts) << c.text;
    EXPECT_EQ(result.warning, "call 'f': its end is missing");
    EXPECT_EQ(result.tools, 1);
    EXPECT_EQ(parsed(c.style, c.text, false).tools, c.cut_too ? 1 : 0) << c.text;
  }
}

TEST(MalformedCalls, WholeCallsWithoutTheirMarkersEnd) {
  for (bool complete : {true, false}) {
    EXPECT_EQ(parsed(kQwen, "<tool_call>{\"name\": \"f\"}", complete).parts, "B{f}A{{}}E");
    EXPECT_EQ(parsed(kCoder, "<tool_call><function=f></function>", complete).parts, "B{f}A{{}}E");
    EXPECT_EQ(
        parsed(kQwen, "<tool_call>{\"name\": \"f\"}<tool_call>{\"name\": \"f\"} and", complete)
            .parts,
        "B{f}A{{}}EB{f}A{{}}EC{and}");
  }
  EXPECT_EQ(parsed(kCoder, "<tool_call><function=f><parameter=s>a</parameter></tool_call>").parts,
            "B{f}A{{\"s\": \"a\"}}E");
}

TEST(MalformedCalls, StrayMarkersAreNoContent) {
  EXPECT_EQ(parsed(kQwen, "a</tool_call> b").parts, "C{a b}");
  EXPECT_EQ(parsed({ReasoningStyle::kGemma, ToolStyle::kGemma}, "a<channel|>b<tool_call|>").parts,
            "C{ab}");
}

TEST(MalformedCalls, HeadersOfHarmony) {
  const AnswerStyle harmony{ReasoningStyle::kHarmony, ToolStyle::kHarmony};
  EXPECT_EQ(parsed(harmony, "<|start|>x<|message|>Yes.<|end|>").parts, "C{Yes.}");
  EXPECT_EQ(
      parsed(harmony, "<|channel|>analysis<|message|>Hm.<|start|>y<|channel|>final<|message|>Yes.")
          .parts,
      "R{Hm.}C{Yes.}");
  EXPECT_EQ(parsed(harmony, "Yes.").parts, "C{Yes.}");
  EXPECT_EQ(parsed(harmony, "assist").parts, "C{assist}");
  expect_content(harmony, "<|start|>" + std::string(2000, 'x'));
}

TEST(MalformedCalls, JsonIsMended) {
  auto arguments = [](const std::string& json) {
    return parsed(kQwen, "<tool_call>{\"name\": \"f\", \"arguments\": " + json + "}</tool_call>");
  };
  const std::string mended = "call 'f': the notation of its arguments was mended";
  const std::pair<const char*, const char*> cases[] = {
      {"{\"s\": \"a\nb\tc\"}", "{\"s\": \"a\\nb\\tc\"}"},
      {"{\"s\": \"\\d+\\'\"}", "{\"s\": \"\\\\d+'\"}"},
      {"{\"s\": 'it \"is\"',}", "{\"s\": \"it \\\"is\\\"\"}"},
      {"{\"s\": [True, False, None, ]}", "{\"s\": [true, false, null]}"},
      {"{\"s\": \"\\ud83d x\"}", "{\"s\": \"\\ufffd x\"}"},
      {"{\"s\": \"\\ude42\"}", "{\"s\": \"\\ufffd\"}"},
  };
  for (const auto& [json, expected] : cases) {
    const Result result = arguments(json);
    EXPECT_EQ(result.parts, std::string("B{f}A{") + expected + "}E");
    EXPECT_EQ(result.warning, mended) << json;
  }
  const Result pair = arguments("{\"s\": \"\\ud83d\\ude42\"}");
  EXPECT_EQ(pair.parts, "B{f}A{{\"s\": \"\\ud83d\\ude42\"}}E");
  EXPECT_EQ(pair.warning, "");
  for (std::string bad : {"{\"s\": 01}", "{\"s\": 1e999}", "{\"s\": +1}", "{\"s\" 1}", "{\"s\": 1]",
                          "{\"s\": 1 2}", "{,}", "{\"s\": \"\\u12x\"}", "{\"s\": NaN}"}) {
    EXPECT_EQ(arguments(bad).tools, 0) << bad;
  }
  EXPECT_EQ(arguments("{\"s\": " + std::string(400, '[')).tools, 0);
}

TEST(MalformedCalls, ValuesOfAnotherTypeStay) {
  const Result result =
      parsed(kCoder, "<tool_call><function=f><parameter=i>many</parameter></function></tool_call>");
  EXPECT_EQ(result.parts, "B{f}A{{\"i\": \"many\"}}E");
  EXPECT_EQ(result.warning, "call 'f': argument 'i' is not of the type of its schema");
}

}  // namespace
}  // namespace mica::answer_test

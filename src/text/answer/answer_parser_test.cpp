#include "text/answer/answer_parser.h"

#include "text/answer/answer_test.h"

namespace mica::answer_test {
namespace {

std::shared_ptr<const Json> weather_tools() {
  return shared(Json::parse(R"([
    {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object",
      "properties": {"city": {"type": "string"}, "days": {"type": "integer"},
                     "tags": {"type": "array", "items": {"type": "string"}},
                     "metric": {"type": "boolean"}, "note": {"type": ["string", "null"]}},
      "required": ["city"]}}},
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}])"));
}

AnswerParserOptions weather() {
  return {.tools = weather_tools(), .id_seed = 7};
}

std::string parts_of(AnswerStyle style, const std::string& text,
                     AnswerParserOptions options = weather()) {
  const Outcome outcome = parse_all_ways(style, options, text);
  EXPECT_EQ(outcome.warning, "") << text;
  return described(outcome.parts);
}

constexpr AnswerStyle kQwen{ReasoningStyle::kThink, ToolStyle::kHermes};
constexpr AnswerStyle kCoder{ReasoningStyle::kNone, ToolStyle::kQwen3Coder};
constexpr AnswerStyle kHarmony{ReasoningStyle::kHarmony, ToolStyle::kHarmony};

TEST(AnswerParser, TextAlone) {
  const std::string text = "  Grüße, 日本! 1 < 2, <b>bold</b> and a <tool, {\"a\": 1}\n\n";
  for (const Style& style : all_styles()) {
    EXPECT_EQ(parts_of(style.style, text), "C{" + text + "}") << style.name;
  }
  EXPECT_EQ(parts_of({}, "<think>a</think> "), "C{<think>a</think> }");
}

TEST(AnswerParser, Reasoning) {
  EXPECT_EQ(parts_of(kQwen, "<think>\nHm, 1 < 2.\n</think>\n\nYes.\n"), "R{Hm, 1 < 2.}C{Yes.\n}");
  EXPECT_EQ(parts_of(kQwen, "<think>\n\n</think>\n\nYes."), "C{Yes.}");
  AnswerParserOptions opened = weather();
  opened.starts_in_reasoning = true;
  EXPECT_EQ(parts_of(kQwen, "\nHm.\n</think>\n\nYes.", opened), "R{Hm.}C{Yes.}");
  EXPECT_EQ(parts_of(kQwen, "<think>\nHm.\n</think>Yes.", opened), "R{Hm.}C{Yes.}");
  EXPECT_EQ(parts_of(kQwen, "cut while it thin", opened), "R{cut while it thin}");
  EXPECT_EQ(parts_of({ReasoningStyle::kLongcat, ToolStyle::kNone},
                     "<longcat_think>\nHm.\n</longcat_think>\nYes."),
            "R{Hm.}C{Yes.}");
  EXPECT_EQ(parts_of({ReasoningStyle::kMistral, ToolStyle::kMistral}, "[THINK]Hm.[/THINK]Yes."),
            "R{Hm.}C{Yes.}");
  EXPECT_EQ(parts_of({ReasoningStyle::kSeed, ToolStyle::kNone},
                     "<seed:think>Hm.</seed:think>Yes."),
            "R{Hm.}C{Yes.}");
  EXPECT_EQ(parts_of({ReasoningStyle::kGemma, ToolStyle::kGemma},
                     "<|channel>thought\nHm.\n<channel|>Yes."),
            "R{Hm.}C{Yes.}");
  EXPECT_EQ(parts_of({ReasoningStyle::kGemma, ToolStyle::kGemma}, "<|channel>thought<channel|>Yes."),
            "C{Yes.}");
}

TEST(AnswerParser, AnEndOfReasoningThatHadNoBegin) {
  const Outcome outcome = parse_all_ways(kQwen, weather(), "Hm.</think>\n\nYes.");
  EXPECT_EQ(described(outcome.parts), "C{Hm.\n\nYes.}");
  EXPECT_EQ(outcome.warning, "a reasoning block ended that had not begun");
}

TEST(AnswerParser, ReasoningIsFollowedAsItComes) {
  AnswerParser parser(kQwen, weather());
  EXPECT_EQ(described(parser.add("<thi")), "");
  EXPECT_FALSE(parser.in_reasoning());
  EXPECT_EQ(described(parser.add("nk>\nLet me ")), "R{Let me}");
  EXPECT_TRUE(parser.in_reasoning());
  EXPECT_EQ(described(parser.add("see.\n</thin")), "R{ see.}");
  EXPECT_EQ(described(parser.add("k>\n\nDone")), "C{Done}");
  EXPECT_FALSE(parser.in_reasoning());
  EXPECT_EQ(described(parser.finish()), "");
}

TEST(AnswerParser, SpecialTokensAreDropped) {
  AnswerParserOptions options = weather();
  options.special_tokens = std::make_shared<MarkerSet>(
      std::vector<std::string>{"<|im_end|>", "<|im_start|>", "<think>", "<|", ""});
  EXPECT_EQ(parts_of(kQwen, "<think>a<|im_start|>b</think>c<|im_end|> d<|im_en", options),
            "R{ab}C{c dim_en}");
  EXPECT_EQ(parts_of({}, "x<|im_end|>", options), "C{x}");
  EXPECT_EQ(parts_of(kQwen, "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \"<|im_end|>\"}}"
                            "</tool_call>",
                     options),
            "B{now}A{{\"a\": \"<|im_end|>\"}}E");
}

TEST(AnswerParser, Hermes) {
  EXPECT_EQ(parts_of(kQwen,
                     "<think>\nI call.\n</think>\n\nI look.\n<tool_call>\n{\"name\": \"get_weather\", "
                     "\"arguments\": {\"city\": \"Zürich\", \"days\": 2}}\n</tool_call>\n<tool_call>\n"
                     "{\"arguments\": {\"deep\": {\"a\": [1.0, null, true]}}, \"name\": \"now\"}\n"
                     "</tool_call>\nBoth asked."),
            "R{I call.}C{I look.}B{get_weather}A{{\"city\": \"Zürich\", \"days\": 2}}E"
            "B{now}A{{\"deep\": {\"a\": [1.0, null, true]}}}EC{\nBoth asked.}");
  // A list, arguments as text, none at all, an inner object, one bracket too many.
  EXPECT_EQ(parts_of(kQwen,
                     "<tool_call>[{\"name\":\"a\",\"arguments\":\"{\\\"x\\\": \\\"é\\\"}\"},"
                     "{\"name\":\"b\"}, {\"type\":\"function\",\"function\":{\"name\":\"c\","
                     "\"arguments\":null}}]</tool_call><tool_call>{\"name\":\"d\",\"arguments\":{}}}"
                     "</tool_call>"),
            "B{a}A{{\"x\": \"é\"}}EB{b}A{{}}EB{c}A{{}}EB{d}A{{}}E");
}

TEST(AnswerParser, HermesAsItComes) {
  AnswerParser parser(kQwen, weather());
  EXPECT_EQ(described(parser.add("Yes. <tool_call>{\"name\": \"now\"")), "C{Yes.}B{now}");
  EXPECT_EQ(described(parser.add(", \"arguments\": {\"a\": \"x")), "A{{\"a\": \"x}");
  EXPECT_EQ(described(parser.add("y\", \"b\": 12")), "A{y\", \"b\": }");
  EXPECT_EQ(described(parser.add("3}}")), "A{123}}E");
  EXPECT_EQ(parser.tools(), 1);
  EXPECT_EQ(described(parser.add("</tool_call>")), "");
  EXPECT_EQ(described(parser.finish()), "");
}

TEST(AnswerParser, Qwen3Coder) {
  EXPECT_EQ(parts_of(kCoder,
                     "I look.\n\n<tool_call>\n<function=get_weather>\n<parameter=city>\nSan\n"
                     "\"Francisco\" <x>\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
                     "<parameter=tags>\n[\"a\", \"b\"]\n</parameter>\n<parameter=metric>\nTrue\n"
                     "</parameter>\n<parameter=note>\nnull\n</parameter>\n</function>\n</tool_call>\n"
                     "<tool_call>\n<function=now>\n</function>\n</tool_call>"),
            "C{I look.}B{get_weather}A{{\"city\": \"San\\n\\\"Francisco\\\" <x>\", \"days\": 3, "
            "\"tags\": [\"a\", \"b\"], \"metric\": true, \"note\": null}}EB{now}A{{}}E");
  // Without <tool_call>, as the model also writes it; JSON in its place; JSON inside the function.
  EXPECT_EQ(parts_of(kCoder, "<function=get_weather>\n<parameter=city>\n5\n</parameter>\n"
                             "</function>\n</tool_call> ok"),
            "B{get_weather}A{{\"city\": \"5\"}}EC{ok}");
  EXPECT_EQ(parts_of(kCoder, "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>"),
            "B{now}A{{}}E");
  EXPECT_EQ(parts_of(kCoder, "<function=now>{\"a\": 1}</function>"), "B{now}A{{\"a\": 1}}E");
}

TEST(AnswerParser, StringsInTagsComeAsTheyArrive) {
  AnswerParser parser(kCoder, weather());
  EXPECT_EQ(described(parser.add("<tool_call>\n<function=get_weather>\n<para")), "B{get_weather}");
  EXPECT_EQ(described(parser.add("meter=city>\nSan Fr")), "A{{\"city\": \"San Fr}");
  EXPECT_EQ(described(parser.add("an\n</para")), "A{an}");
  EXPECT_EQ(described(parser.add("meter>\n<parameter=days>\n1")), "A{\", \"days\": }");
  EXPECT_EQ(described(parser.add("2\n</parameter>")), "A{12}");
  EXPECT_EQ(described(parser.add("\n</function>")), "A{}}E");
}

TEST(AnswerParser, GlmAndLongcat) {
  const AnswerStyle glm{ReasoningStyle::kThink, ToolStyle::kGlm};
  const std::string call =
      "get_weather\n<arg_key>city</arg_key>\n<arg_value>New York</arg_value>\n<arg_key>days</arg_key>"
      "\n<arg_value>2</arg_value>\n";
  const std::string expected = "B{get_weather}A{{\"city\": \"New York\", \"days\": 2}}E";
  EXPECT_EQ(parts_of(glm, "<think>Hm.</think>\n<tool_call>" + call + "</tool_call>"),
            "R{Hm.}" + expected);
  EXPECT_EQ(parts_of(glm, "<tool_call>now</tool_call><tool_call>now<arg_key>a</arg_key><arg_value>"
                          "</arg_value></tool_call>"),
            "B{now}A{{}}EB{now}A{{\"a\": \"\"}}E");
  const AnswerStyle longcat{ReasoningStyle::kLongcat, ToolStyle::kLongcat};
  EXPECT_EQ(parts_of(longcat,
                     "<longcat_tool_call>get_weather\n<longcat_arg_key>city</longcat_arg_key>\n"
                     "<longcat_arg_value>New York</longcat_arg_value>\n</longcat_tool_call>"
                     "<longcat_tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n"
                     "</longcat_tool_call>"),
            "B{get_weather}A{{\"city\": \"New York\"}}EB{now}A{{}}E");
}

TEST(AnswerParser, MiniMax) {
  EXPECT_EQ(parts_of({ReasoningStyle::kThink, ToolStyle::kMiniMax},
                     "<think>\nHm.\n</think>\n\nNow:\n<minimax:tool_call>\n<invoke "
                     "name=\"get_weather\">\n<parameter name=\"city\">Oslo</parameter>\n<parameter "
                     "name=\"days\">2</parameter>\n</invoke>\n<invoke name=\"now\">\n</invoke>\n"
                     "</minimax:tool_call>"),
            "R{Hm.}C{Now:}B{get_weather}A{{\"city\": \"Oslo\", \"days\": 2}}EB{now}A{{}}E");
}

TEST(AnswerParser, Llama3) {
  const AnswerStyle llama{ReasoningStyle::kNone, ToolStyle::kLlama3};
  const std::string call = "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}";
  const std::string expected = "B{get_weather}A{{\"city\": \"Oslo\"}}E";
  EXPECT_EQ(parts_of(llama, "<|python_tag|>" + call), expected);
  EXPECT_EQ(parts_of(llama, "Sure.\n<|python_tag|>" + call + "; " + call),
            "C{Sure.}" + expected + expected);
  EXPECT_EQ(parts_of(llama, "\n" + call + ";" + call + "\n" + call), expected + expected + expected);
  EXPECT_EQ(parts_of(llama, "{\"type\": \"function\", \"name\": \"now\", \"parameters\": {}}"),
            "B{now}A{{}}E");
  EXPECT_EQ(parts_of(llama, "<|python_tag|>get_weather.call(city=\"Oslo\", days=2)"),
            "B{get_weather}A{{\"city\": \"Oslo\", \"days\": 2}}E");
  EXPECT_EQ(parts_of(llama, "<function=now>{\"a\": 1}</function>"), "B{now}A{{\"a\": 1}}E");
  // JSON that is an answer.
  for (std::string text : {"{\"name\": \"Bob\", \"parameters\": {}}", "{\"name\": 5}", "{\"na",
                           "{\"temperature\": {\"name\": \"now\"}} ", "{}", "{ and so on",
                           "{\"parameters\": {\"a\": 1}}"}) {
    EXPECT_EQ(parts_of(llama, text), "C{" + text + "}");
  }
  EXPECT_EQ(parts_of(llama, "See: " + call), "C{See: " + call + "}");
}

TEST(AnswerParser, Mistral) {
  const AnswerStyle mistral{ReasoningStyle::kMistral, ToolStyle::kMistral};
  EXPECT_EQ(parts_of(mistral,
                     "Hm.[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": "
                     "\"Oslo\"}}, {\"name\": \"now\", \"arguments\": {}}]"),
            "C{Hm.}B{get_weather}A{{\"city\": \"Oslo\"}}EB{now}A{{}}E");
  EXPECT_EQ(parts_of(mistral, "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Oslo\"}[TOOL_CALLS]now"
                              "[CALL_ID]abc123XYZ[ARGS]{}"),
            "B{get_weather}A{{\"city\": \"Oslo\"}}EB{now}A{{}}E");
  EXPECT_EQ(parts_of(mistral, "[TOOL_CALLS]now{\"a\": [1]}"), "B{now}A{{\"a\": [1]}}E");
  const Parts parts =
      parse(mistral, weather(), {"[TOOL_CALLS]now[CALL_ID]abc123XYZ[ARGS]{}[TOOL_CALLS]now[ARGS]{}"})
          .parts;
  ASSERT_EQ(parts.size(), 6u);
  EXPECT_EQ(parts[0].id, "abc123XYZ");
  EXPECT_EQ(parts[3].id.size(), 9u);
  EXPECT_NE(parts[3].id, parts[0].id);
}

TEST(AnswerParser, Kimi) {
  const AnswerStyle kimi{ReasoningStyle::kThink, ToolStyle::kKimi};
  const std::string text =
      "I look. <|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:3"
      "<|tool_call_argument_begin|>{\"city\": \"Oslo\"}<|tool_call_end|>\n<|tool_call_begin|> "
      "functions.now:4 <|tool_call_argument_begin|> {} <|tool_call_end|><|tool_calls_section_end|>";
  const std::string expected = "B{get_weather}A{{\"city\": \"Oslo\"}}EB{now}A{{}}E";
  EXPECT_EQ(parts_of(kimi, text), "C{I look.}" + expected);
  // A section ends a thought.
  EXPECT_EQ(parts_of(kimi, "<think>" + text), "R{I look.}" + expected);
  const Parts parts = parse(kimi, weather(), {text}).parts;
  EXPECT_EQ(parts[1].id, "functions.get_weather:3");
  EXPECT_EQ(parts[4].id, "functions.now:4");
  EXPECT_EQ(parse(kimi, weather(), {"<|tool_call_begin|>now<|tool_call_argument_begin|>{}"
                                    "<|tool_call_end|>"})
                .parts[0]
                .id,
            "functions.now:0");
}

TEST(AnswerParser, DeepSeek) {
  const AnswerStyle deepseek{ReasoningStyle::kThink, ToolStyle::kDeepSeek};
  const std::string expected = "B{get_weather}A{{\"city\": \"Oslo\"}}EB{now}A{{}}E";
  EXPECT_EQ(parts_of(deepseek,
                     "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n"
                     "```json\n{\"city\": \"Oslo\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>"
                     "function<｜tool▁sep｜>now\n```json\n{}\n```<｜tool▁call▁end｜>"
                     "<｜tool▁calls▁end｜>"),
            expected);
  EXPECT_EQ(parts_of(deepseek,
                     "Hm.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>"
                     "{\"city\": \"Oslo\"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>"
                     "{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
            "C{Hm.}" + expected);
}

TEST(AnswerParser, Lfm2) {
  const AnswerStyle lfm{ReasoningStyle::kThink, ToolStyle::kLfm2};
  EXPECT_EQ(parts_of(lfm,
                     "<|tool_call_start|>[get_weather(city=\"O'slo\\n\", days=-2, tags=['a', \"b\\x41\"], "
                     "metric=True, note=None, d={'k': (1, 2.5)}), now()]<|tool_call_end|>Asked."),
            "B{get_weather}A{{\"city\": \"O'slo\\n\", \"days\": -2, \"tags\": [\"a\", \"bA\"], "
            "\"metric\": true, \"note\": null, \"d\": {\"k\": [1, 2.5]}}}EB{now}A{{}}EC{Asked.}");
  EXPECT_EQ(parts_of(lfm, "<|tool_call_start|>[{\"name\": \"now\", \"arguments\": {}}]"
                          "<|tool_call_end|>"),
            "B{now}A{{}}E");
  EXPECT_EQ(parts_of(lfm, "[now(), get_weather(city='a')]"),
            "B{now}A{{}}EB{get_weather}A{{\"city\": \"a\"}}E");
  for (std::string text : {"[1, 2]", "[unknown(a=1)]", "[see](http://x.y)", "[n"}) {
    EXPECT_EQ(parts_of(lfm, text), "C{" + text + "}");
  }
}

TEST(AnswerParser, Gemma) {
  const AnswerStyle gemma{ReasoningStyle::kGemma, ToolStyle::kGemma};
  EXPECT_EQ(parts_of(gemma,
                     "<|channel>thought\nHm.<channel|><|tool_call>call:get_weather{city:<|\"|>New "
                     "\"York\" <|x<|\"|>,days:2,d:{a:[1,<|\"|>b<|\"|>],e:true}}<tool_call|><|tool_call>"
                     "call:now{}<tool_call|>"),
            "R{Hm.}B{get_weather}A{{\"city\": \"New \\\"York\\\" <|x\", \"days\": 2, \"d\": {\"a\": "
            "[1, \"b\"], \"e\": true}}}EB{now}A{{}}E");
  const AnswerStyle function{ReasoningStyle::kNone, ToolStyle::kFunctionGemma};
  EXPECT_EQ(parts_of(function,
                     "<start_function_call>call:get_weather{city:<escape>Oslo<escape>,days:2}"
                     "<end_function_call>"),
            "B{get_weather}A{{\"city\": \"Oslo\", \"days\": 2}}E");
}

TEST(AnswerParser, Harmony) {
  EXPECT_EQ(parts_of(kHarmony,
                     "<|channel|>analysis<|message|>The user asks.<|end|><|start|>assistant"
                     "<|channel|>final<|message|>It is **sunny**."),
            "R{The user asks.}C{It is **sunny**.}");
  EXPECT_EQ(parts_of(kHarmony,
                     "<|channel|>analysis<|message|>I look.<|end|><|start|>assistant<|channel|>"
                     "commentary<|message|>One moment.<|end|><|start|>assistant<|channel|>commentary "
                     "to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Oslo\"}"),
            "R{I look.}C{One moment.}B{get_weather}A{{\"city\": \"Oslo\"}}E");
  EXPECT_EQ(parts_of(kHarmony,
                     " to=functions.now<|channel|>commentary json<|message|>{}<|call|><|start|>"
                     "assistant to=functions.now<|channel|>commentary<|message|><|call|>"),
            "B{now}A{{}}EB{now}A{{}}E");
  EXPECT_EQ(parts_of(kHarmony, "<|channel|>commentary to=functions.now<|message|>"), "B{now}A{{}}E");
  AnswerParserOptions opened = weather();
  opened.starts_in_reasoning = true;
  EXPECT_EQ(parts_of(kHarmony, "Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
                     opened),
            "R{Hm.}C{Yes.}");
  // A header that is cut says nothing; two messages for the user are told apart.
  EXPECT_EQ(parts_of(kHarmony, "<|channel|>fin"), "");
  EXPECT_EQ(parts_of(kHarmony, "<|channel|>commentary<|message|>A.<|end|><|start|>assistant<|channel|>"
                               "final<|message|>B."),
            "C{A.\nB.}");
}

TEST(AnswerParser, OptionsOfCalls) {
  const std::string call = "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>";
  AnswerParserOptions options = weather();
  options.parallel_calls = false;
  EXPECT_EQ(parts_of(kQwen, "a " + call + call + " b", options), "C{a}B{now}A{{}}EC{ b}");
  options.parse_tools = false;
  EXPECT_EQ(parts_of(kQwen, "<think>x</think>a " + call, options), "R{x}C{a " + call + "}");
  EXPECT_EQ(parts_of(kHarmony, "<|channel|>commentary to=functions.now<|message|>{}<|call|>", options),
            "C{{}}");
}

TEST(AnswerParser, IdsAreOfTheRequest) {
  auto ids = [](uint64_t seed) {
    AnswerParserOptions options = weather();
    options.id_seed = seed;
    const std::string call = "<tool_call>{\"name\": \"now\"}</tool_call>";
    std::vector<std::string> list;
    for (const AnswerPart& part : parse(kQwen, options, {call + call}).parts) {
      if (part.kind == Kind::kToolBegin) list.push_back(part.id);
    }
    return list;
  };
  const auto first = ids(1), second = ids(2);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first, ids(1));
  EXPECT_NE(first[0], first[1]);
  EXPECT_NE(first[0], second[0]);
  EXPECT_NE(first[1], second[0]);
  EXPECT_EQ(first[0].substr(0, 5), "call_");
  EXPECT_EQ(first[0].size(), 29u);
}

}  // namespace
}  // namespace mica::answer_test

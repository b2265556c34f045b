// Random tools and arguments, rendered by a template of each style, come back exactly.
#include "text/answer/answer_test.h"
#include "text/answer/gbnf_test.h"
#include "text/answer/tool_grammar.h"

namespace mica::answer_test {
namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint64_t below(uint64_t n) { return engine_() % n; }

  std::string text() {
    static const std::vector<std::string> kParts = {
        "a",    "Z",  "7", " ",  "\n",   "\t",   "\"", "\\",    "'", "é", "日",
        "🙂", "<",  ">", "</", "{",    "}",    "[",  "]",     ",", ":", "=",
        "|",    "<|", "/", "#",  "null", "true", "12", "&amp;", "`", ";"};
    std::string out;
    for (uint64_t i = below(12); i > 0; --i) out += kParts[below(kParts.size())];
    return out;
  }
  std::string word() {
    std::string out(1, static_cast<char>('a' + below(26)));
    for (uint64_t i = below(8); i > 0; --i) out += "abcdefghij_0123"[below(15)];
    return out;
  }
  Json value(int depth) {
    switch (below(depth > 0 ? 8 : 6)) {
      case 0: return text();
      case 1: return static_cast<int64_t>(below(2000)) - 1000;
      case 2: return static_cast<double>(below(1000)) / 8 + 0.0625;
      case 3: return below(2) == 0;
      case 4: return nullptr;
      case 5: return text();
      case 6: {
        Json list = Json::array();
        for (uint64_t i = below(4); i > 0; --i) list.push_back(value(depth - 1));
        return list;
      }
      default: {
        Json object = Json::object();
        for (uint64_t i = below(4); i > 0; --i) object[word()] = value(depth - 1);
        return object;
      }
    }
  }

 private:
  std::mt19937_64 engine_;
};

const char* type_name(const Json& value) {
  if (value.is_string()) return "string";
  if (value.is_number_integer()) return "integer";
  if (value.is_number()) return "number";
  if (value.is_boolean()) return "boolean";
  if (value.is_null()) return "null";
  return value.is_array() ? "array" : "object";
}

struct Example {
  Json tools = Json::array();
  std::vector<Call> calls;
};

// `depth`: of lists and objects in arguments.
Example example(Random& random, int depth) {
  Example made;
  const uint64_t count = 1 + random.below(3);
  for (uint64_t i = 0; i < count; ++i) {
    Call call{random.word() + std::to_string(i), Json::object()};
    Json properties = Json::object();
    for (uint64_t k = random.below(5); k > 0; --k) {
      const std::string key = random.word() + std::to_string(k);
      call.arguments[key] = random.value(depth);
      properties[key] = {{"type", type_name(call.arguments[key])}};
    }
    made.tools.push_back({{"type", "function"},
                          {"function",
                           {{"name", call.name},
                            {"strict", true},
                            {"parameters", {{"type", "object"}, {"properties", properties}}}}}});
    made.calls.push_back(std::move(call));
  }
  return made;
}

std::vector<Call> parsed_calls(const Parts& parts) {
  std::vector<Call> calls;
  std::string arguments;
  for (const AnswerPart& part : parts) {
    if (part.kind == Kind::kToolBegin) {
      calls.push_back({part.name, nullptr});
      arguments.clear();
    }
    if (part.kind == Kind::kToolArguments) arguments += part.text;
    if (part.kind == Kind::kToolEnd) calls.back().arguments = Json::parse(arguments);
  }
  return calls;
}

TEST(RoundTrip, RandomCallsInEveryStyle) {
  for (const Style& style : all_styles()) {
    Random random(42);
    std::mt19937_64 cutting(1);
    for (int i = 0; i < 60; ++i) {
      const Example made = example(random, 2);
      const std::string text = "I look." + rendered(style.style.tools, made.calls);
      const bool harmony = style.style.tools == ToolStyle::kHarmony;
      const std::string whole = harmony ? text.substr(7) : text;
      const Outcome outcome =
          parse(style.style, {.tools = shared(made.tools)}, random_pieces(whole, cutting));
      EXPECT_EQ(outcome.warning, "") << style.name << ": " << whole;
      const std::vector<Call> calls = parsed_calls(outcome.parts);
      ASSERT_EQ(calls.size(), made.calls.size()) << style.name << ": " << whole;
      for (size_t k = 0; k < calls.size(); ++k) {
        EXPECT_EQ(calls[k].name, made.calls[k].name);
        EXPECT_EQ(calls[k].arguments.dump(), made.calls[k].arguments.dump())
            << style.name << ": " << whole;
      }
      if (!harmony) {
        EXPECT_EQ(outcome.parts[0].text, "I look.") << style.name;
      }
      ASSERT_FALSE(HasFailure());
    }
  }
}

// The grammar of a style takes what its template writes, and nothing that is cut short.
TEST(RoundTrip, GrammarsTakeWhatTemplatesWrite) {
  for (const Style& style : all_styles()) {
    Random random(7);
    // Grammars have JSON inside these notations.
    const bool own_values = style.style.tools == ToolStyle::kLfm2 ||
                            style.style.tools == ToolStyle::kGemma ||
                            style.style.tools == ToolStyle::kFunctionGemma;
    for (int i = 0; i < 15; ++i) {
      Example made = example(random, own_values ? 0 : 2);
      const bool harmony = style.style.tools == ToolStyle::kHarmony;
      if (harmony) made.calls.resize(1);
      std::string text = rendered(style.style.tools, made.calls);
      if (harmony) text.resize(text.size() - std::string("<|call|>").size());
      const std::string trimmed = text.substr(text.find_first_not_of('\n'));
      const Grammar required(tool_grammar(style.style, made.tools, {}));
      EXPECT_TRUE(required.matches(trimmed)) << style.name << ": " << trimmed;
      EXPECT_FALSE(required.matches(trimmed.substr(0, trimmed.size() - 1))) << style.name;
      EXPECT_FALSE(required.matches("I look." + trimmed)) << style.name;
      EXPECT_FALSE(required.matches("")) << style.name;
      const Grammar automatic(
          tool_grammar(style.style, made.tools, {.kind = ToolChoice::Kind::kAuto}));
      EXPECT_TRUE(automatic.matches(trimmed)) << style.name << ": " << trimmed;
      const std::string plain = harmony ? "<|channel|>final<|message|>No < call." : "No < call.";
      EXPECT_TRUE(automatic.matches(plain)) << style.name;
      const Grammar named(tool_grammar(
          style.style, made.tools,
          {.kind = ToolChoice::Kind::kNamed, .name = made.calls[0].name, .parallel = false}));
      EXPECT_EQ(named.matches(trimmed), made.calls.size() == 1) << style.name << ": " << trimmed;
      ASSERT_FALSE(HasFailure());
    }
  }
}

}  // namespace
}  // namespace mica::answer_test

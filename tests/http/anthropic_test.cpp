// Anthropic's Messages over real sockets: blocks, events, counts, errors.
#include <gtest/gtest.h>

#include "http/test_app.h"

namespace mica::test {
namespace {

RequestDefaults defaults_of(const char* reasoning) {
  RequestDefaults defaults;
  defaults.tool_parser = "hermes";
  defaults.reasoning_parser = reasoning;
  return defaults;
}

const Json kTools =
    Json::array({{{"name", "weather"},
                  {"description", "of a city"},
                  {"input_schema",
                   {{"type", "object"},
                    {"properties", {{"city", {{"type", "string"}, {"enum", {"Oslo"}}}}}},
                    {"required", {"city"}},
                    {"additionalProperties", false}}}}});

constexpr const char* kCall =
    "<think>hm</think>Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
    "\"Oslo\"}}\n</tool_call>";

struct Anthropic : testing::Test {
  explicit Anthropic(const char* reasoning = "qwen3")
      : app(TestApp::default_engine(), defaults_of(reasoning)) {
    app.make_ready();
  }
  TestApp app;

  static Json request(const Json& further = Json::object()) {
    Json body = {{"max_tokens", 400}, {"messages", {{{"role", "user"}, {"content", "hello"}}}}};
    body.update(further);
    return body;
  }
  Json post(const Json& further = Json::object()) {
    const Reply reply = app.post("/v1/messages", request(further));
    EXPECT_EQ(reply.status, 200) << reply.body;
    return Json::parse(reply.body);
  }
  // The prompt that a request makes, by its length.
  int64_t count(const Json& body) {
    const Reply reply = app.post("/v1/messages/count_tokens", body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return Json::parse(reply.body).value("input_tokens", int64_t{-1});
  }
};

TEST_F(Anthropic, MessageHasItsBlocks) {
  app.speak(kCall);
  const Json body = post({{"tools", kTools}});
  EXPECT_TRUE(body["id"].get<std::string>().starts_with("msg_"));
  EXPECT_EQ(body["type"], "message");
  EXPECT_EQ(body["role"], "assistant");
  EXPECT_EQ(body["model"], "org/fake-model");
  ASSERT_EQ(body["content"].size(), 3u) << body.dump();
  EXPECT_EQ(body["content"][0]["type"], "thinking");
  EXPECT_EQ(body["content"][0]["thinking"], "hm");
  EXPECT_TRUE(body["content"][0]["signature"].is_string());
  EXPECT_EQ(body["content"][1], Json({{"type", "text"}, {"text", "Let me see."}}));
  EXPECT_EQ(body["content"][2]["type"], "tool_use");
  EXPECT_EQ(body["content"][2]["name"], "weather");
  EXPECT_EQ(body["content"][2]["input"], Json({{"city", "Oslo"}}));
  EXPECT_EQ(body["stop_reason"], "tool_use");
  EXPECT_TRUE(body["stop_sequence"].is_null());
  EXPECT_GT(body["usage"]["input_tokens"], 0);
  EXPECT_EQ(body["usage"]["output_tokens"], std::string(kCall).size() + 1);
}

TEST_F(Anthropic, StreamHasItsEvents) {
  app.speak(kCall);
  const Reply reply = app.post("/v1/messages", request({{"tools", kTools}, {"stream", true}}));
  std::vector<std::string> types;
  Json blocks = Json::array();
  Json last;
  size_t at = 0;
  while ((at = reply.body.find("event: ", at)) != std::string::npos) {
    const size_t line = reply.body.find('\n', at);
    const std::string type = reply.body.substr(at + 7, line - at - 7);
    const size_t end = reply.body.find("\n\n", line);
    const Json data = Json::parse(reply.body.substr(line + 7, end - line - 7));
    at = end;
    EXPECT_EQ(data["type"], type);
    if (types.empty() || types.back() != type) types.push_back(type);
    if (type == "content_block_start") {
      EXPECT_EQ(data["index"], blocks.size());
      blocks.push_back({{"type", data["content_block"]["type"]}, {"text", ""}});
    }
    if (type == "content_block_delta") {
      const Json& delta = data["delta"];
      EXPECT_EQ(data["index"], blocks.size() - 1);
      for (const char* name : {"text", "thinking", "partial_json"})
        blocks.back()["text"] = blocks.back()["text"].get<std::string>() + delta.value(name, "");
      if (delta["type"] == "signature_delta") blocks.back()["signed"] = true;
    }
    if (type == "message_delta") last = data;
  }
  ASSERT_EQ(blocks.size(), 3u) << reply.body;
  EXPECT_EQ(blocks[0], Json({{"type", "thinking"}, {"text", "hm"}, {"signed", true}}));
  EXPECT_EQ(blocks[1], Json({{"type", "text"}, {"text", "Let me see."}}));
  EXPECT_EQ(blocks[2]["type"], "tool_use");
  EXPECT_EQ(Json::parse(blocks[2]["text"].get<std::string>()), Json({{"city", "Oslo"}}));
  EXPECT_EQ(types.front(), "message_start");
  EXPECT_EQ(types[1], "ping");
  EXPECT_EQ(types.back(), "message_stop");
  EXPECT_EQ(types[types.size() - 2], "message_delta");
  EXPECT_EQ(last["delta"]["stop_reason"], "tool_use");
  EXPECT_EQ(last["usage"]["output_tokens"], std::string(kCall).size() + 1);
}

TEST_F(Anthropic, MessagesBecomeThePrompt) {
  const Json messages = Json::array(
      {{{"role", "user"},
        {"content", {{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "b"}}}}},
       {{"role", "assistant"},
        {"content",
         {{{"type", "thinking"}, {"thinking", "t"}, {"signature", "s"}},
          {{"type", "text"}, {"text", "c"}},
          {{"type", "tool_use"}, {"id", "1"}, {"name", "f"}, {"input", {{"x", 1}}}}}}},
       {{"role", "user"},
        {"content",
         {{{"type", "tool_result"},
           {"tool_use_id", "1"},
           {"content", {{{"type", "text"}, {"text", "42"}}}}},
          {{"type", "text"}, {"text", "d"}}}}},
       {{"role", "user"}, {"content", "e"}}});
  const std::string prompt =
      "<|im_start|>system\nbe\nbrief<|im_end|>\n<|im_start|>user\na\nb<|im_end|>\n"
      "<|im_start|>assistant\nc[f x=1]<|im_end|>\n<|im_start|>tool\n42<|im_end|>\n"
      "<|im_start|>user\nd\ne<|im_end|>\n[1 tools]<|im_start|>assistant\n";
  EXPECT_EQ(count({{"messages", messages},
                   {"system",
                    {{{"type", "text"}, {"text", "be"}}, {{"type", "text"}, {"text", "brief"}}}},
                   {"tools", kTools}}),
            static_cast<int64_t>(app.text->encode(prompt).size()));
}

TEST_F(Anthropic, ALastTurnOfTheAssistantIsContinued) {
  EXPECT_EQ(
      count({{"messages",
              {{{"role", "user"}, {"content", "a"}}, {{"role", "assistant"}, {"content", "b"}}}}}),
      static_cast<int64_t>(
          app.text->encode("<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb").size()));
}

TEST_F(Anthropic, StopsHaveTheirReasons) {
  app.speak("alpha beta");
  EXPECT_EQ(post()["stop_reason"], "end_turn");
  EXPECT_EQ(post({{"max_tokens", 3}})["stop_reason"], "max_tokens");
  const Json stopped = post({{"stop_sequences", {"be"}}});
  EXPECT_EQ(stopped["stop_reason"], "stop_sequence");
  EXPECT_EQ(stopped["stop_sequence"], "be");
  EXPECT_EQ(stopped["content"][0]["text"], "alpha ");
}

struct AnthropicWithoutThinking : Anthropic {
  AnthropicWithoutThinking() : Anthropic("none") {}
};

TEST_F(AnthropicWithoutThinking, CallsCanBeForced) {
  app.speak("I would rather talk.");
  for (const Json& choice :
       {Json({{"type", "any"}, {"disable_parallel_tool_use", true}}),
        Json({{"type", "tool"}, {"name", "weather"}, {"disable_parallel_tool_use", true}})}) {
    const Json body = post({{"tools", kTools}, {"tool_choice", choice}});
    EXPECT_EQ(body["stop_reason"], "tool_use");
    EXPECT_EQ(body["content"].back()["input"], Json({{"city", "Oslo"}})) << body.dump();
  }
  const Json none = post({{"tools", kTools}, {"tool_choice", {{"type", "none"}}}});
  EXPECT_EQ(none["content"][0]["text"], "I would rather talk.");
}

TEST_F(Anthropic, ThinkingHasABudget) {
  app.speak("on and on");
  const Json body =
      post({{"thinking", {{"type", "enabled"}, {"budget_tokens", 4}}}, {"max_tokens", 40}});
  EXPECT_EQ(body["content"][0]["thinking"], "on a");
  const Json off = post({{"thinking", {{"type", "disabled"}}}});
  EXPECT_EQ(off["content"][0]["text"], "on and on");
}

TEST_F(Anthropic, ErrorsHaveTheirShape) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"messages": []})", "messages"},
      {R"({"messages": [{"role": "tool", "content": "x"}]})", "messages[0].role"},
      {R"({"messages": [{"role": "user", "content": [{"type": "image"}]}]})",
       "messages[0].content[0].type"},
      {R"({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]})",
       "messages[0].content[0].tool_use_id"},
      {R"({"temperature": -1})", "temperature"},
      {R"({"system": 5})", "system"},
      {R"({"stop_sequences": [1]})", "stop_sequences"},
      {R"({"tools": [{"name": "x"}]})", "tools[0].input_schema"},
      {R"({"tools": [{"type": "web_search_20250305", "name": "x"}]})", "tools[0].type"},
      {R"({"tool_choice": {"type": "any"}})", "tool_choice"},
      {R"({"tool_choice": "any"})", "tool_choice"},
      {R"({"thinking": {"type": "maybe"}})", "thinking.type"},
      {R"({"output_config": {"effort": "x"}})", "output_config.effort"},
  };
  for (const auto& [further, param] : cases) {
    const Reply reply = app.post("/v1/messages", request(Json::parse(further)));
    EXPECT_EQ(reply.status, 400) << further;
    const Json body = Json::parse(reply.body);
    EXPECT_EQ(body["type"], "error");
    EXPECT_EQ(body["error"]["type"], "invalid_request_error");
    EXPECT_NE(body["error"]["message"].get<std::string>().find(param), std::string::npos)
        << reply.body;
  }
  const Reply other = app.post("/v1/messages", request({{"model", "claude"}}));
  EXPECT_EQ(other.status, 404);
  EXPECT_EQ(Json::parse(other.body)["error"]["type"], "not_found_error");
  EXPECT_EQ(ask(app.port(), "POST", "/v1/messages", "{").status, 400);
}

}  // namespace
}  // namespace mica::test

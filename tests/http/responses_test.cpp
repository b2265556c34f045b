// OpenAI's Responses over real sockets, and the store behind them.
#include <gtest/gtest.h>

#include "http/test_app.h"
#include "server/response_store.h"

namespace mica::test {
namespace {

RequestDefaults defaults_of(const char* reasoning) {
  RequestDefaults defaults;
  defaults.tool_parser = "hermes";
  defaults.reasoning_parser = reasoning;
  return defaults;
}

const Json kTools = Json::array({{{"type", "function"},
                                  {"name", "weather"},
                                  {"parameters",
                                   {{"type", "object"},
                                    {"properties", {{"city", {{"enum", {"Oslo"}}}}}},
                                    {"required", {"city"}},
                                    {"additionalProperties", false}}}}});

constexpr const char* kCall =
    "<think>hm</think>Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
    "\"Oslo\"}}\n</tool_call>";

struct Responses : testing::Test {
  explicit Responses(const char* reasoning = "qwen3")
      : app(TestApp::default_engine(), defaults_of(reasoning)) {
    app.make_ready();
  }
  TestApp app;

  Json post(const Json& body) {
    const Reply reply = app.post("/v1/responses", body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return Json::parse(reply.body);
  }
  int64_t count(const Json& body) {
    const Reply reply = app.post("/v1/responses/input_tokens", body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return Json::parse(reply.body).value("input_tokens", int64_t{-1});
  }
  int64_t tokens(const std::string& prompt) {
    return static_cast<int64_t>(app.text->encode(prompt).size());
  }
};

TEST_F(Responses, ResponseHasItsItems) {
  app.speak(kCall);
  const Json body = post({{"input", "hello"}, {"tools", kTools}, {"metadata", {{"a", "b"}}}});
  EXPECT_EQ(body["object"], "response");
  EXPECT_EQ(body["status"], "completed");
  EXPECT_EQ(body["metadata"]["a"], "b");
  ASSERT_EQ(body["output"].size(), 3u) << body.dump();
  EXPECT_EQ(body["output"][0]["type"], "reasoning");
  EXPECT_EQ(body["output"][0]["content"][0]["text"], "hm");
  EXPECT_EQ(body["output"][1]["type"], "message");
  EXPECT_EQ(body["output"][1]["content"][0]["text"], "Let me see.");
  EXPECT_EQ(body["output"][2]["type"], "function_call");
  EXPECT_EQ(body["output"][2]["name"], "weather");
  EXPECT_EQ(Json::parse(body["output"][2]["arguments"].get<std::string>())["city"], "Oslo");
  for (const Json& item : body["output"]) EXPECT_EQ(item["status"], "completed");
  EXPECT_EQ(body["usage"]["output_tokens"], std::string(kCall).size() + 1);
  EXPECT_GT(body["usage"]["output_tokens_details"]["reasoning_tokens"], 0);
}

TEST_F(Responses, StreamHasItsEventsInOrder) {
  app.speak(kCall);
  const Reply reply =
      app.post("/v1/responses", {{"input", "hello"}, {"tools", kTools}, {"stream", true}});
  std::vector<std::string> types;
  std::string text, arguments;
  Json last;
  size_t at = 0;
  for (int64_t sequence = 0; (at = reply.body.find("event: ", at)) != std::string::npos;
       ++sequence) {
    const size_t line = reply.body.find('\n', at);
    const size_t end = reply.body.find("\n\n", line);
    const Json data = Json::parse(reply.body.substr(line + 7, end - line - 7));
    EXPECT_EQ(data["type"], reply.body.substr(at + 7, line - at - 7));
    EXPECT_EQ(data["sequence_number"], sequence);
    at = end;
    const std::string type = data["type"];
    if (type == "response.output_text.delta") text += data["delta"].get<std::string>();
    if (type == "response.function_call_arguments.delta")
      arguments += data["delta"].get<std::string>();
    if (types.empty() || types.back() != type) types.push_back(type);
    last = data;
  }
  const std::vector<std::string> expected = {"response.created",
                                             "response.in_progress",
                                             "response.output_item.added",
                                             "response.content_part.added",
                                             "response.reasoning_text.delta",
                                             "response.reasoning_text.done",
                                             "response.content_part.done",
                                             "response.output_item.done",
                                             "response.output_item.added",
                                             "response.content_part.added",
                                             "response.output_text.delta",
                                             "response.output_text.done",
                                             "response.content_part.done",
                                             "response.output_item.done",
                                             "response.output_item.added",
                                             "response.function_call_arguments.delta",
                                             "response.function_call_arguments.done",
                                             "response.output_item.done",
                                             "response.completed"};
  EXPECT_EQ(types, expected);
  EXPECT_EQ(text, "Let me see.");
  EXPECT_EQ(Json::parse(arguments)["city"], "Oslo");
  EXPECT_EQ(last["response"]["output"].size(), 3u);
}

TEST_F(Responses, ItemsBecomeThePrompt) {
  const Json items = Json::array(
      {{{"role", "user"}, {"content", {{{"type", "input_text"}, {"text", "a"}}}}},
       {{"type", "reasoning"}, {"summary", Json::array()}},
       {{"type", "message"},
        {"role", "assistant"},
        {"content", {{{"type", "output_text"}, {"text", "b"}}}}},
       {{"type", "function_call"}, {"call_id", "1"}, {"name", "f"}, {"arguments", "{\"x\": 1}"}},
       {{"type", "function_call_output"}, {"call_id", "1"}, {"output", "42"}}});
  EXPECT_EQ(count({{"input", items}, {"instructions", "be"}}),
            tokens("<|im_start|>system\nbe<|im_end|>\n<|im_start|>user\na<|im_end|>\n"
                   "<|im_start|>assistant\nb[f x=1]<|im_end|>\n<|im_start|>tool\n42<|im_end|>\n"
                   "<|im_start|>assistant\n"));
}

TEST_F(Responses, StoredOnesCanBeContinuedShownAndDeleted) {
  app.speak("yes");
  const Json first = post({{"input", "a"}, {"instructions", "gone"}});
  const std::string id = first["id"];
  EXPECT_EQ(count({{"input", "b"}, {"previous_response_id", id}}),
            tokens("<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n"
                   "<|im_start|>user\nb<|im_end|>\n<|im_start|>assistant\n"));
  const Json second = post({{"input", "b"}, {"previous_response_id", id}, {"stream", false}});
  EXPECT_EQ(second["previous_response_id"], id);
  EXPECT_EQ(Json::parse(app.get("/v1/responses/" + id).body), first);
  const Json items = Json::parse(app.get("/v1/responses/" + id + "/input_items").body);
  EXPECT_EQ(items["data"][0]["content"], "a");
  EXPECT_EQ(ask(app.port(), "DELETE", "/v1/responses/" + id).status, 200);
  EXPECT_EQ(app.get("/v1/responses/" + id).status, 404);
  EXPECT_EQ(ask(app.port(), "DELETE", "/v1/responses/" + id).status, 404);
  EXPECT_EQ(app.post("/v1/responses", {{"input", "c"}, {"previous_response_id", id}}).status, 404);
  const Json kept_not = post({{"input", "a"}, {"store", false}});
  EXPECT_EQ(app.get("/v1/responses/" + kept_not["id"].get<std::string>()).status, 404);
}

TEST_F(Responses, LimitsAndFormats) {
  app.speak("a long story");
  const Json cut = post({{"input", "x"}, {"max_output_tokens", 3}});
  EXPECT_EQ(cut["status"], "incomplete");
  EXPECT_EQ(cut["incomplete_details"]["reason"], "max_output_tokens");
  EXPECT_EQ(cut["output"][0]["status"], "incomplete");
  const Json schema = {{"type", "object"},
                       {"properties", {{"ok", {{"type", "boolean"}}}}},
                       {"required", {"ok"}},
                       {"additionalProperties", false}};
  const Json body =
      post({{"input", "x"},
            {"text", {{"format", {{"type", "json_schema"}, {"name", "n"}, {"schema", schema}}}}}});
  EXPECT_TRUE(
      Json::parse(body["output"][0]["content"][0]["text"].get<std::string>())["ok"].is_boolean());
}

struct ResponsesWithoutReasoning : Responses {
  ResponsesWithoutReasoning() : Responses("none") {}
};

TEST_F(ResponsesWithoutReasoning, CallsCanBeForced) {
  app.speak("a long story");
  const Json forced = post({{"input", "x"},
                            {"tools", kTools},
                            {"tool_choice", {{"type", "function"}, {"name", "weather"}}},
                            {"parallel_tool_calls", false}});
  EXPECT_EQ(forced["output"][0]["type"], "function_call");
}

TEST_F(Responses, LogprobsAreIncludedOnRequest) {
  app.speak("a long story");
  const Json scored =
      post({{"input", "x"}, {"include", {"message.output_text.logprobs"}}, {"top_logprobs", 2}});
  const Json& logprobs = scored["output"][0]["content"][0]["logprobs"];
  ASSERT_EQ(logprobs.size(), 12u);
  EXPECT_EQ(logprobs[0]["top_logprobs"].size(), 2u);
}

TEST_F(Responses, WrongValuesNameTheirField) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "input"},
      {R"({"input": 5})", "input"},
      {R"({"input": [5]})", "input[0]"},
      {R"({"input": [{"type": "image"}]})", "input[0].type"},
      {R"({"input": [{"role": "user", "content": [{"type": "input_image"}]}]})",
       "input[0].content[0].type"},
      {R"({"input": [{"type": "function_call_output"}]})", "input[0].call_id"},
      {R"({"input": "x", "background": true})", "background"},
      {R"({"input": "x", "conversation": "y"})", "conversation"},
      {R"({"input": "x", "tools": [{"type": "web_search"}]})", "tools[0].type"},
      {R"({"input": "x", "text": {"format": {"type": "xml"}}})", "text.format.type"},
      {R"({"input": "x", "reasoning": {"effort": "x"}})", "reasoning.effort"},
      {R"({"input": "x", "max_output_tokens": "x"})", "max_output_tokens"},
  };
  for (const auto& [body, param] : cases) {
    const Reply reply = ask(app.port(), "POST", "/v1/responses", body);
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_EQ(Json::parse(reply.body)["error"]["param"], param) << reply.body;
  }
}

// Each tool counts once, however often it is named.
TEST_F(Responses, AllowedToolsAreFew) {
  const auto body = [](size_t times) {
    const Json named(std::vector<Json>(times, Json{{"type", "function"}, {"name", "weather"}}));
    return Json{{"input", "x"},
                {"tools", kTools},
                {"tool_choice", {{"type", "allowed_tools"}, {"tools", named}}}};
  };
  EXPECT_EQ(count(body(1024)),
            tokens("<|im_start|>user\nx<|im_end|>\n[1 tools]<|im_start|>assistant\n"));
  const Reply reply = app.post("/v1/responses", body(1025));
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(Json::parse(reply.body)["error"]["param"], "tool_choice.tools") << reply.body;
}

TEST(ResponseStore, IsBounded) {
  ResponseStore few(2, 100);
  few.put("a", {"1", "", ""});
  few.put("b", {"2", "", ""});
  EXPECT_TRUE(few.get("a"));
  few.put("c", {"3", "", ""});
  EXPECT_FALSE(few.get("b"));
  EXPECT_EQ(few.get("a")->body, "1");
  few.put("d", {std::string(100, 'x'), "", ""});
  EXPECT_EQ(few.size(), 1u);
  few.put("e", {std::string(101, 'x'), "", ""});
  EXPECT_FALSE(few.get("e"));
  EXPECT_TRUE(few.erase("d"));
  EXPECT_FALSE(few.erase("d"));
  EXPECT_EQ(few.size(), 0u);
}

}  // namespace
}  // namespace mica::test

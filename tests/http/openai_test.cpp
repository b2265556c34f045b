// The OpenAI surface over real sockets: shapes, streams, fields, errors.
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "http/test_app.h"

namespace mica::test {
namespace {

struct OpenAi : testing::Test {
  OpenAi() { app.make_ready(); }
  TestApp app;

  Json post(const std::string& path, const Json& body) {
    const Reply reply = app.post(path, body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return Json::parse(reply.body);
  }
  // The text of a streamed chat answer, per choice; checks the shape of each chunk.
  std::string streamed_text(const Reply& reply, int index = 0) {
    std::string text;
    for (const std::string& event : reply.events()) {
      if (event == "[DONE]") continue;
      const Json chunk = Json::parse(event);
      EXPECT_EQ(chunk["object"], "chat.completion.chunk");
      for (const Json& choice : chunk["choices"])
        if (choice["index"] == index) text += choice["delta"].value("content", "");
    }
    return text;
  }
};

TEST_F(OpenAi, ChatAnswerHasItsShapeAndText) {
  const Json body = post("/v1/chat/completions", chat("hello", {{"max_tokens", 12}}));
  EXPECT_TRUE(body["id"].get<std::string>().starts_with("chatcmpl-"));
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["model"], "org/fake-model");
  EXPECT_EQ(body["system_fingerprint"], "mica-test");
  EXPECT_TRUE(body["created"].is_number_integer());
  const auto prompt = app.chat_prompt("hello");
  const Json& choice = body["choices"].at(0);
  EXPECT_EQ(choice["index"], 0);
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_EQ(choice["message"]["content"], app.expected_text(prompt, 12));
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_TRUE(choice["logprobs"].is_null());
  EXPECT_EQ(body["usage"]["prompt_tokens"], prompt.size());
  EXPECT_EQ(body["usage"]["completion_tokens"], 12);
  EXPECT_EQ(body["usage"]["total_tokens"], prompt.size() + 12);
  EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
}

TEST_F(OpenAi, StreamSaysTheSameAndEndsWithUsage) {
  const Json request =
      chat("stream",
           {{"max_tokens", 40}, {"stream", true}, {"stream_options", {{"include_usage", true}}}});
  const Reply reply = app.post("/v1/chat/completions", request);
  ASSERT_EQ(reply.status, 200);
  EXPECT_TRUE(reply.complete);
  EXPECT_EQ(reply.header("Content-Type"), "text/event-stream");
  EXPECT_EQ(streamed_text(reply), app.expected_text(app.chat_prompt("stream"), 40));
  const auto events = reply.events();
  ASSERT_GE(events.size(), 4u);
  EXPECT_EQ(events.back(), "[DONE]");
  EXPECT_EQ(Json::parse(events[0])["choices"][0]["delta"]["role"], "assistant");
  const Json last = Json::parse(events[events.size() - 3]);
  EXPECT_EQ(last["choices"][0]["finish_reason"], "length");
  EXPECT_TRUE(last["choices"][0]["delta"].empty());
  EXPECT_TRUE(last["usage"].is_null());
  const Json usage = Json::parse(events[events.size() - 2]);
  EXPECT_TRUE(usage["choices"].empty());
  EXPECT_EQ(usage["usage"]["completion_tokens"], 40);
}

// Events with text of a stream, and the seconds it took.
std::pair<size_t, double> stream_at(std::chrono::milliseconds interval) {
  RequestDefaults defaults;
  defaults.stream_interval = interval;
  TestApp app(TestApp::default_engine(), defaults);
  app.backend.on_sample = [](const SampleParams&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  };
  app.make_ready();
  const auto start = std::chrono::steady_clock::now();
  const Reply reply =
      app.post("/v1/chat/completions", chat("stream", {{"max_tokens", 40}, {"stream", true}}));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  size_t events = 0;
  std::string text;
  for (const std::string& event : reply.events()) {
    if (event == "[DONE]") break;
    const Json json = Json::parse(event);
    const std::string piece = json["choices"][0]["delta"].value("content", "");
    events += !piece.empty();
    text += piece;
  }
  EXPECT_EQ(text, app.expected_text(app.chat_prompt("stream"), 40));
  return {events, took.count()};
}

TEST(StreamInterval, FastTokensShareEventsAndTheEndComesAtOnce) {
  const auto [alone, unused] = stream_at(std::chrono::milliseconds(0));
  const auto [shared, seconds] = stream_at(std::chrono::minutes(1));
  EXPECT_GT(alone, 20u);
  EXPECT_LE(shared, 3u);
  EXPECT_LT(seconds, 30);
}

TEST_F(OpenAi, StreamWithoutUsageHasNone) {
  const Reply reply = app.post("/chat/completions", chat("x", {{"stream", true}}));
  for (const std::string& event : reply.events()) {
    if (event == "[DONE]") continue;
    EXPECT_FALSE(Json::parse(event).contains("usage"));
  }
}

TEST_F(OpenAi, StopStringsCutOverTokenBorders) {
  const std::string whole = app.expected_text(app.chat_prompt("stop"), 200);
  // Every token is a byte: three characters in the middle span at least three tokens.
  ASSERT_GT(whole.size(), 60u);
  size_t at = 20;
  while ((whole[at] & 0xc0) == 0x80) ++at;
  size_t end = at + 4;
  while ((whole[end] & 0xc0) == 0x80) ++end;
  const std::string stop = whole.substr(at, end - at);
  const std::string before = whole.substr(0, whole.find(stop));
  for (const Json& value : {Json(stop), Json::array({"nowhere at all", stop})}) {
    const Json body =
        post("/v1/chat/completions", chat("stop", {{"max_tokens", 200}, {"stop", value}}));
    EXPECT_EQ(body["choices"][0]["message"]["content"], before);
    EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
    EXPECT_LT(body["usage"]["completion_tokens"], 200);
  }
  const Reply stream =
      app.post("/v1/chat/completions",
               chat("stop", {{"max_tokens", 200}, {"stop", stop}, {"stream", true}}));
  EXPECT_EQ(streamed_text(stream), before);
  EXPECT_TRUE(app.engine_is_idle());
}

TEST_F(OpenAi, EndTokenStops) {
  const Json body = post("/v1/chat/completions", chat("a", {{"max_tokens", 1900}}));
  EXPECT_EQ(body["choices"][0]["message"]["content"],
            app.expected_text(app.chat_prompt("a"), 1900));
}

TEST_F(OpenAi, SeveralChoicesDifferBySeed) {
  const Json body =
      post("/v1/chat/completions", chat("n", {{"n", 3}, {"temperature", 1.0}, {"seed", 5}}));
  ASSERT_EQ(body["choices"].size(), 3u);
  SamplingParams sampling;
  sampling.temperature = 1;
  int64_t tokens = 0;
  for (uint64_t i = 0; i < 3; ++i) {
    sampling.seed = 5 + i;
    EXPECT_EQ(body["choices"][i]["index"], i);
    EXPECT_EQ(body["choices"][i]["message"]["content"],
              app.expected_text(app.chat_prompt("n"), 8, sampling));
  }
  tokens = body["usage"]["completion_tokens"];
  EXPECT_GE(tokens, 3);
  EXPECT_EQ(body["usage"]["prompt_tokens"], app.chat_prompt("n").size());
  const Reply stream =
      app.post("/v1/chat/completions",
               chat("n", {{"n", 3}, {"temperature", 1.0}, {"seed", 5}, {"stream", true}}));
  for (int i = 0; i < 3; ++i) {
    sampling.seed = 5 + static_cast<uint64_t>(i);
    EXPECT_EQ(streamed_text(stream, i), app.expected_text(app.chat_prompt("n"), 8, sampling));
  }
}

TEST_F(OpenAi, ChatLogprobs) {
  const Json request = chat("lp", {{"logprobs", true}, {"top_logprobs", 2}, {"max_tokens", 5}});
  const Json body = post("/v1/chat/completions", request);
  const Json& content = body["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), body["usage"]["completion_tokens"].get<size_t>());
  EXPECT_EQ(content[0]["logprob"], -1.0);
  EXPECT_EQ(content[0]["bytes"].size(), 1u);
  EXPECT_EQ(content[0]["top_logprobs"].size(), 2u);
  Json streaming = request;
  streaming["stream"] = true;
  size_t tokens = 0;
  for (const std::string& event : app.post("/v1/chat/completions", streaming).events()) {
    if (event == "[DONE]") continue;
    const Json logprobs = Json::parse(event)["choices"][0]["logprobs"];
    if (!logprobs.is_null()) tokens += logprobs["content"].size();
  }
  EXPECT_EQ(tokens, content.size());
}

TEST_F(OpenAi, TextCompletions) {
  const Json body = post("/v1/completions", {{"prompt", "abc"}, {"max_tokens", 6}});
  EXPECT_TRUE(body["id"].get<std::string>().starts_with("cmpl-"));
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["choices"][0]["text"], app.expected_text(app.text->encode("abc"), 6));
  const Json echo = post("/v1/completions", {{"prompt", "abc"}, {"max_tokens", 6}, {"echo", true}});
  EXPECT_EQ(echo["choices"][0]["text"], "abc" + app.expected_text(app.text->encode("abc"), 6));
  const Json nothing =
      post("/v1/completions", {{"prompt", "abc"}, {"max_tokens", 0}, {"echo", true}});
  EXPECT_EQ(nothing["choices"][0]["text"], "abc");
}

TEST_F(OpenAi, PromptsOfAllKinds) {
  const std::string a = app.expected_text({97}, 4), b = app.expected_text({98, 99}, 4);
  const auto ids = [&](const char* text) { return app.text->encode(text); };
  for (const Json& prompt : {Json({"a", "bc"}), Json::array({ids("a"), ids("bc")})}) {
    const Json body = post("/v1/completions", {{"prompt", prompt}, {"max_tokens", 4}});
    ASSERT_EQ(body["choices"].size(), 2u);
    EXPECT_EQ(body["choices"][0]["text"], app.expected_text(ids("a"), 4));
    EXPECT_EQ(body["choices"][1]["text"], app.expected_text(ids("bc"), 4));
    EXPECT_EQ(body["usage"]["prompt_tokens"], 3);
  }
  const Json one = post("/v1/completions", {{"prompt", ids("bc")}, {"max_tokens", 4}});
  EXPECT_EQ(one["choices"][0]["text"], app.expected_text(ids("bc"), 4));
}

TEST_F(OpenAi, TextLogprobsHaveTheOldShape) {
  const Json body =
      post("/v1/completions", {{"prompt", "abc"}, {"max_tokens", 4}, {"logprobs", 3}});
  const Json& logprobs = body["choices"][0]["logprobs"];
  const size_t tokens = logprobs["tokens"].size();
  EXPECT_EQ(logprobs["token_logprobs"].size(), tokens);
  EXPECT_EQ(logprobs["top_logprobs"].size(), tokens);
  EXPECT_EQ(logprobs["top_logprobs"][0].size(), 3u);
  EXPECT_EQ(logprobs["text_offset"][0], 0);
}

TEST_F(OpenAi, TemplateSeesMessagesToolsAndArguments) {
  const Json messages = Json::array(
      {{{"role", "developer"}, {"content", "be"}},
       {{"role", "user"},
        {"content", {{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "b"}}}}},
       {{"role", "assistant"},
        {"content", nullptr},
        {"tool_calls",
         Json::array({{{"id", "1"},
                       {"type", "function"},
                       {"function", {{"name", "f"}, {"arguments", "{\"x\": 1}"}}}}})}},
       {{"role", "tool"}, {"content", "42"}}});
  const Json body = post("/v1/chat/completions", {{"messages", messages},
                                                  {"tools", Json::array({{{"type", "function"}}})},
                                                  {"chat_template_kwargs", {{"mood", "calm"}}},
                                                  {"max_tokens", 3}});
  const std::string prompt =
      "<|im_start|>system\nbe<|im_end|>\n<|im_start|>user\nab<|im_end|>\n"
      "<|im_start|>assistant\n[f x=1]<|im_end|>\n<|im_start|>tool\n42<|im_end|>\n"
      "[1 tools][calm]<|im_start|>assistant\n";
  EXPECT_EQ(body["usage"]["prompt_tokens"], app.text->encode(prompt).size());
  EXPECT_EQ(body["choices"][0]["message"]["content"],
            app.expected_text(app.text->encode(prompt), 3));
}

struct Case {
  const char* further;  // JSON
  const char* param;
};
const Case kWrongValues[] = {
    {R"({"temperature": -1})", "temperature"},
    {R"({"temperature": "hot"})", "temperature"},
    {R"({"temperature": true})", "temperature"},
    {R"({"temperature": 1e300})", "temperature"},
    {R"({"top_p": 1.1})", "top_p"},
    {R"({"top_k": -2})", "top_k"},
    {R"({"top_k": 1.5})", "top_k"},
    {R"({"top_k": 99999999999})", "top_k"},
    {R"({"min_p": 2})", "min_p"},
    {R"({"xtc_probability": 2})", "xtc_probability"},
    {R"({"xtc_threshold": 0.6})", "xtc_threshold"},
    {R"({"repetition_penalty": -0.1})", "repetition_penalty"},
    {R"({"repetition_context_size": -1})", "repetition_context_size"},
    {R"({"presence_penalty": []})", "presence_penalty"},
    {R"({"frequency_penalty": "x"})", "frequency_penalty"},
    {R"({"logit_bias": []})", "logit_bias"},
    {R"({"logit_bias": {"260": 1}})", "logit_bias"},
    {R"({"logit_bias": {"-1": 1}})", "logit_bias"},
    {R"({"logit_bias": {"x": 1}})", "logit_bias"},
    {R"({"logit_bias": {"1": "x"}})", "logit_bias"},
    {R"({"logprobs": 1})", "logprobs"},
    {R"({"logprobs": true, "top_logprobs": 21})", "top_logprobs"},
    {R"({"top_logprobs": 2})", "top_logprobs"},
    {R"({"seed": "x"})", "seed"},
    {R"({"seed": 1.5})", "seed"},
    {R"({"stop": 3})", "stop"},
    {R"({"stop": [1]})", "stop"},
    {R"({"stop": ""})", "stop"},
    {R"({"n": 0})", "n"},
    {R"({"n": 17})", "n"},
    {R"({"max_tokens": -5})", "max_tokens"},
    {R"({"max_tokens": "8"})", "max_tokens"},
    {R"({"max_completion_tokens": 1.5})", "max_completion_tokens"},
    {R"({"stream": 1})", "stream"},
    {R"({"stream_options": true})", "stream_options"},
    {R"({"stream_options": {"include_usage": 1}})", "stream_options.include_usage"},
    {R"({"response_format": {}})", "response_format"},
    {R"({"response_format": {"type": "xml"}})", "response_format.type"},
    {R"({"response_format": {"type": "json_schema"}})", "response_format.json_schema"},
    {R"({"guided_choice": []})", "guided_choice"},
    {R"({"guided_choice": [1]})", "guided_choice"},
    {R"({"guided_regex": ""})", "guided_regex"},
    {R"({"guided_json": 5})", "guided_json"},
    {R"({"guided_json": "{"})", "guided_json"},
    {R"({"guided_regex": "a", "grammar": "root ::= \"a\""})", "grammar"},
    {R"({"structured_outputs": 1})", "structured_outputs"},
    {R"({"structured_outputs": {"structural_tag": {}}})", "structured_outputs.structural_tag"},
    {R"({"stop_token_ids": 1})", "stop_token_ids"},
    {R"({"stop_token_ids": [260]})", "stop_token_ids[0]"},
    {R"({"min_tokens": 9})", "min_tokens"},
    {R"({"ignore_eos": 1})", "ignore_eos"},
    {R"({"stream_options": {"continuous_usage_stats": 1}})",
     "stream_options.continuous_usage_stats"},
    {R"({"reasoning_effort": "huge"})", "reasoning_effort"},
    {R"({"thinking_token_budget": -2})", "thinking_token_budget"},
    {R"({"reasoning_format": "x"})", "reasoning_format"},
    {R"({"use_beam_search": true})", "use_beam_search"},
    {R"({"prompt_logprobs": 21})", "prompt_logprobs"},
    {R"({"parallel_tool_calls": 1})", "parallel_tool_calls"},
    {R"({"tools": [{"type": "function", "function": {}}]})", "tools[0].function.name"},
    {R"({"tool_choice": "sometimes"})", "tool_choice"},
    {R"({"tool_choice": {"type": "function", "function": {"name": "f"}}})", "tool_choice"},
    {R"({"tools": {}})", "tools"},
    {R"({"tool_choice": "required"})", "tool_choice"},
    {R"({"chat_template_kwargs": 1})", "chat_template_kwargs"},
    {R"({"messages": []})", "messages"},
    {R"({"messages": null})", "messages"},
    {R"({"messages": "x"})", "messages"},
    {R"({"messages": [1]})", "messages[0]"},
    {R"({"messages": [{"content": "x"}]})", "messages[0].role"},
    {R"({"messages": [{"role": "user", "content": 1}]})", "messages[0].content"},
    {R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})",
     "messages[0].content[0].type"},
    {R"({"model": 5})", "model"},
};

TEST_F(OpenAi, WrongValuesNameTheirField) {
  for (const Case& one : kWrongValues) {
    const Reply reply = app.post("/v1/chat/completions", chat("x", Json::parse(one.further)));
    EXPECT_EQ(reply.status, 400) << one.further;
    const Json error = Json::parse(reply.body)["error"];
    EXPECT_EQ(error["param"], one.param) << one.further;
    EXPECT_EQ(error["type"], "invalid_request_error");
    EXPECT_TRUE(error.contains("code"));
    EXPECT_NE(error["message"].get<std::string>().find(one.param), std::string::npos);
  }
}

TEST_F(OpenAi, WrongPromptsNameTheirField) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "prompt"},
      {R"({"prompt": []})", "prompt"},
      {R"({"prompt": {}})", "prompt"},
      {R"({"prompt": ""})", "prompt"},
      {R"({"prompt": [1, 260]})", "prompt[1]"},
      {R"({"prompt": [1, "x"]})", "prompt[1]"},
      {R"({"prompt": ["x", 1]})", "prompt[1]"},
      {R"({"prompt": [[1], [-1]]})", "prompt[1][0]"},
      {R"({"prompt": "x", "echo": 1})", "echo"},
      {R"({"prompt": "x", "suffix": "y"})", "suffix"},
      {R"({"prompt": "x", "n": 3, "best_of": 2})", "best_of"},
      {R"({"prompt": "x", "best_of": 2, "stream": true})", "best_of"},
      {R"({"prompt": "x", "logprobs": 21})", "logprobs"},
  };
  for (const auto& [body, param] : cases) {
    const Reply reply = ask(app.port(), "POST", "/v1/completions", body);
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_EQ(Json::parse(reply.body)["error"]["param"], param) << body;
  }
}

TEST_F(OpenAi, NullAndUnknownFieldsAreNoFields) {
  const Json body =
      post("/v1/chat/completions", chat("x", {{"temperature", nullptr},
                                              {"stop", nullptr},
                                              {"user", "me"},
                                              {"tools", nullptr},
                                              {"logit_bias", nullptr},
                                              {"store", true},
                                              {"response_format", {{"type", "text"}}}}));
  EXPECT_EQ(body["choices"][0]["message"]["content"], app.expected_text(app.chat_prompt("x"), 8));
}

TEST_F(OpenAi, BrokenBodiesAreRefused) {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "[";
  std::string wide = "{\"logit_bias\": {";
  for (int i = 0; i < 20000; ++i) wide += "\"" + std::to_string(i) + "\":1,";
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("[]"), std::string("3"), std::string("nul"),
        std::string("{\"temperature\": NaN}"), std::string("{\"temperature\": 1e999}"),
        std::string("{\"prompt\": \"\xff\"}"), std::string("{\"a\": \"\\ud800\"}"),
        std::string("{\"prompt\": \"x\"}\0x", 17), "{\"a\": " + deep, deep, wide + "\"x\":1}}"}) {
    const Reply reply = ask(app.port(), "POST", "/v1/completions", body);
    EXPECT_EQ(reply.status, 400) << body.substr(0, 40);
    EXPECT_TRUE(Json::parse(reply.body)["error"]["message"].is_string());
  }
  EXPECT_EQ(app.get("/health").status, 200);
}

TEST_F(OpenAi, PromptBeyondTheContextNamesBothCounts) {
  const Reply reply = app.post("/v1/completions", {{"prompt", std::string(3000, 'a')}});
  EXPECT_EQ(reply.status, 400);
  const Json error = Json::parse(reply.body)["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_NE(error["message"].get<std::string>().find("2048"), std::string::npos);
  EXPECT_NE(error["message"].get<std::string>().find("3000"), std::string::npos);
  // The answer gets what is left.
  const Json body =
      post("/v1/completions", {{"prompt", std::string(2040, 'a')}, {"max_tokens", 500}});
  EXPECT_LE(body["usage"]["completion_tokens"], 8);
}

TEST_F(OpenAi, ModelNames) {
  for (const char* name : {"default_model", "org/fake-model", "fake-model"})
    EXPECT_EQ(app.post("/v1/chat/completions", chat("x", {{"model", name}})).status, 200);
  const Reply reply = app.post("/v1/chat/completions", chat("x", {{"model", "gpt-4"}}));
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(Json::parse(reply.body)["error"]["code"], "model_not_found");
  EXPECT_NE(reply.body.find("org/fake-model"), std::string::npos);
  const Json models = Json::parse(app.get("/v1/models").body);
  EXPECT_EQ(models["object"], "list");
  EXPECT_EQ(models["data"][0]["id"], "org/fake-model");
  EXPECT_EQ(models["data"][0]["object"], "model");
  for (const char* path : {"/v1/models/org/fake-model", "/v1/models/org%2Ffake-model"})
    EXPECT_EQ(Json::parse(app.get(path).body)["id"], "org/fake-model");
  EXPECT_EQ(app.get("/v1/models/other").status, 404);
}

}  // namespace
}  // namespace mica::test

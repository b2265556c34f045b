// Chat answers in parts: reasoning, calls, constraints, accounts.
#include <gtest/gtest.h>

#include <set>

#include "http/test_app.h"

namespace mica::test {
namespace {

RequestDefaults thinking_model() {
  RequestDefaults defaults;
  defaults.tool_parser = "hermes";
  defaults.reasoning_parser = "qwen3";
  defaults.max_tokens = 400;
  return defaults;
}

const Json kTools =
    Json::array({{{"type", "function"},
                  {"function",
                   {{"name", "weather"},
                    {"parameters",
                     {{"type", "object"},
                      {"properties", {{"city", {{"type", "string"}, {"enum", {"Oslo", "Rome"}}}}}},
                      {"required", {"city"}},
                      {"additionalProperties", false}}}}}},
                 {{"type", "function"},
                  {"function", {{"name", "time"}, {"parameters", {{"type", "object"}}}}}}});

constexpr const char* kCall =
    "<think>look\nup</think>Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": "
    "{\"city\": \"Oslo\"}}\n</tool_call>";

struct ChatAnswer : testing::Test {
  ChatAnswer() : app(TestApp::default_engine(), thinking_model()) { app.make_ready(); }
  TestApp app;

  Json ask_chat(const Json& further) {
    const Reply reply = app.post("/v1/chat/completions", request(further));
    EXPECT_EQ(reply.status, 200) << reply.body;
    return Json::parse(reply.body);
  }
  static Json request(const Json& further) {
    Json body = chat("hello", further);
    if (!further.contains("max_tokens")) body["max_tokens"] = 400;
    return body;
  }
  // The message that the chunks of a stream make, and its finish reason.
  Json streamed(Json further, std::string* finish = nullptr, Json* last = nullptr) {
    further["stream"] = true;
    Json message = {{"content", ""}, {"reasoning", ""}, {"tool_calls", Json::array()}};
    const Reply reply = app.post("/v1/chat/completions", request(further));
    EXPECT_EQ(reply.events().back(), "[DONE]");
    for (const std::string& event : reply.events()) {
      if (event == "[DONE]") continue;
      const Json chunk = Json::parse(event);
      if (chunk["choices"].empty()) continue;
      const Json& choice = chunk["choices"][0];
      const Json& delta = choice["delta"];
      for (const char* name : {"content", "reasoning"})
        message[name] = message[name].get<std::string>() + delta.value(name, "");
      EXPECT_EQ(delta.value("reasoning", ""), delta.value("reasoning_content", ""));
      for (const Json& call : delta.value("tool_calls", Json::array())) {
        const auto index = call["index"].get<size_t>();
        if (index == message["tool_calls"].size()) {
          EXPECT_EQ(call["type"], "function");
          message["tool_calls"].push_back(
              {{"name", call["function"]["name"]}, {"arguments", ""}, {"id", call["id"]}});
        }
        Json& arguments = message["tool_calls"][index]["arguments"];
        arguments = arguments.get<std::string>() + call["function"].value("arguments", "");
      }
      if (choice["finish_reason"].is_null()) continue;
      if (finish) *finish = choice["finish_reason"];
      if (last) *last = chunk;
    }
    return message;
  }
};

TEST_F(ChatAnswer, ReasoningAndCallsHaveTheirFields) {
  app.speak(kCall);
  const Json body = ask_chat({{"tools", kTools}});
  const Json& message = body["choices"][0]["message"];
  EXPECT_EQ(message["content"], "Let me see.");
  EXPECT_EQ(message["reasoning"], "look\nup");
  EXPECT_EQ(message["reasoning_content"], "look\nup");
  ASSERT_EQ(message["tool_calls"].size(), 1u);
  const Json& call = message["tool_calls"][0];
  EXPECT_EQ(call["type"], "function");
  EXPECT_EQ(call["function"]["name"], "weather");
  EXPECT_EQ(Json::parse(call["function"]["arguments"].get<std::string>())["city"], "Oslo");
  EXPECT_FALSE(call["id"].get<std::string>().empty());
  EXPECT_EQ(body["choices"][0]["finish_reason"], "tool_calls");
  EXPECT_FALSE(body.contains("warnings"));
  // "look\nup</think>", a token a byte.
  EXPECT_EQ(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 15);
}

TEST_F(ChatAnswer, StreamSaysTheSame) {
  app.speak(kCall);
  std::string finish;
  const Json message = streamed({{"tools", kTools}}, &finish);
  EXPECT_EQ(message["content"], "Let me see.");
  EXPECT_EQ(message["reasoning"], "look\nup");
  ASSERT_EQ(message["tool_calls"].size(), 1u);
  EXPECT_EQ(message["tool_calls"][0]["name"], "weather");
  EXPECT_EQ(Json::parse(message["tool_calls"][0]["arguments"].get<std::string>()),
            Json({{"city", "Oslo"}}));
  EXPECT_EQ(finish, "tool_calls");
}

TEST_F(ChatAnswer, WithoutToolsCallsAreText) {
  app.speak("<tool_call>x</tool_call>");
  EXPECT_EQ(ask_chat({})["choices"][0]["message"]["content"], "<tool_call>x</tool_call>");
  app.speak("<think>t</think>x");
  EXPECT_EQ(ask_chat({{"reasoning_format", "none"}})["choices"][0]["message"]["content"],
            "<think>t</think>x");
  const Json hidden = ask_chat({{"include_reasoning", false}})["choices"][0]["message"];
  EXPECT_EQ(hidden["content"], "x");
  EXPECT_FALSE(hidden.contains("reasoning"));
}

TEST_F(ChatAnswer, MalformedCallsAreTextWithAWarning) {
  app.speak("<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": </tool_call>");
  const Json body = ask_chat({{"tools", kTools}});
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_NE(body["choices"][0]["message"]["content"].get<std::string>().find("city"),
            std::string::npos);
  EXPECT_EQ(body["warnings"].size(), 1u);
  Json last;
  (void)streamed({{"tools", kTools}}, nullptr, &last);
  EXPECT_EQ(last["warnings"].size(), 1u);
}

TEST_F(ChatAnswer, OneCallOnly) {
  const std::string call = "<tool_call>\n{\"name\": \"time\", \"arguments\": {}}\n</tool_call>";
  app.speak(call + "\n" + call + " and much more");
  EXPECT_EQ(ask_chat({{"tools", kTools}})["choices"][0]["message"]["tool_calls"].size(), 2u);
  const Json one = ask_chat({{"tools", kTools}, {"parallel_tool_calls", false}});
  EXPECT_EQ(one["choices"][0]["message"]["tool_calls"].size(), 1u);
  EXPECT_EQ(one["choices"][0]["finish_reason"], "tool_calls");
  EXPECT_LT(one["usage"]["completion_tokens"], call.size() + 3);
}

TEST(ChatAnswerWithoutReasoning, CallsCanBeForced) {
  RequestDefaults defaults;
  defaults.tool_parser = "hermes";
  TestApp app(TestApp::default_engine(), defaults);
  app.make_ready();
  app.speak("I would rather talk.");
  const auto ask_chat = [&](const Json& further) {
    Json body = chat("hello", further);
    body["max_tokens"] = 400;
    const Reply reply = app.post("/v1/chat/completions", body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return Json::parse(reply.body);
  };
  for (const Json& choice :
       {Json("required"), Json({{"type", "function"}, {"function", {{"name", "weather"}}}})}) {
    const Json body = ask_chat({{"tools", Json::array({kTools[0]})},
                                {"tool_choice", choice},
                                {"parallel_tool_calls", false}});
    ASSERT_TRUE(body["choices"][0]["message"].contains("tool_calls")) << body.dump();
    const Json& calls = body["choices"][0]["message"]["tool_calls"];
    ASSERT_EQ(calls.size(), 1u) << body.dump();
    EXPECT_EQ(calls[0]["function"]["name"], "weather");
    const Json arguments = Json::parse(calls[0]["function"]["arguments"].get<std::string>());
    EXPECT_TRUE(arguments["city"] == "Oslo" || arguments["city"] == "Rome");
    EXPECT_EQ(body["choices"][0]["finish_reason"], "tool_calls");
  }
  const Json none = ask_chat({{"tools", kTools}, {"tool_choice", "none"}});
  EXPECT_EQ(none["choices"][0]["message"]["content"], "I would rather talk.");
}

TEST_F(ChatAnswer, TextFollowsItsGrammar) {
  app.speak("No JSON from me.");
  const Json schema = {{"type", "object"},
                       {"properties", {{"ok", {{"type", "boolean"}}}}},
                       {"required", {"ok"}},
                       {"additionalProperties", false}};
  for (const Json& fields :
       {Json({{"response_format",
               {{"type", "json_schema"}, {"json_schema", {{"name", "x"}, {"schema", schema}}}}}}),
        Json({{"guided_json", schema}}), Json({{"guided_json", schema.dump()}}),
        Json({{"structured_outputs", {{"json", schema}}}}), Json({{"json_schema", schema}}),
        Json({{"response_format", {{"type", "json_object"}, {"schema", schema}}}})}) {
    const Json body = ask_chat(fields);
    const Json& content = body["choices"][0]["message"]["content"];
    const Json answer = Json::parse(content.get<std::string>(), nullptr, false);
    ASSERT_TRUE(answer.is_object()) << content;
    EXPECT_TRUE(answer["ok"].is_boolean());
    EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  }
  for (const Json& fields :
       {Json({{"guided_choice", {"yes", "no"}}}),
        Json({{"structured_outputs", {{"choice", {"yes", "no"}}}}}),
        Json({{"guided_regex", "yes|no"}}), Json({{"grammar", "root ::= \"yes\" | \"no\""}})}) {
    const Json content = ask_chat(fields)["choices"][0]["message"]["content"];
    EXPECT_TRUE(content == "yes" || content == "no") << fields << content;
  }
  const Json text = Json::parse(app.post("/v1/completions", {{"prompt", "x"},
                                                             {"guided_choice", {"yes", "no"}},
                                                             {"ignore_eos", true},
                                                             {"max_tokens", 50}})
                                    .body);
  EXPECT_TRUE(text["choices"][0]["text"] == "yes" || text["choices"][0]["text"] == "no");
}

TEST_F(ChatAnswer, WrongGrammarsNameTheirField) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"grammar": "root ::= ("})", "grammar"},
      {R"({"guided_regex": "("})", "guided_regex"},
      {R"({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": 5}}}})",
       "response_format.json_schema.schema"}};
  for (const auto& [further, param] : cases) {
    const Reply reply = app.post("/v1/chat/completions", chat("x", Json::parse(further)));
    EXPECT_EQ(reply.status, 400) << further;
    EXPECT_EQ(Json::parse(reply.body)["error"]["param"], param) << reply.body;
  }
}

TEST_F(ChatAnswer, TheGrammarBeginsAfterTheReasoning) {
  app.speak("well, hm</think>maybe");
  const Json body = ask_chat(
      {{"guided_choice", {"yes", "no"}}, {"chat_template_kwargs", {{"enable_thinking", true}}}});
  const Json& message = body["choices"][0]["message"];
  EXPECT_EQ(message["reasoning"], "well, hm");
  EXPECT_TRUE(message["content"] == "yes" || message["content"] == "no") << message;
}

TEST_F(ChatAnswer, ReasoningHasABudget) {
  app.speak("on and on and on and on");
  const Json body = ask_chat({{"thinking_token_budget", 5},
                              {"max_tokens", 60},
                              {"chat_template_kwargs", {{"enable_thinking", true}}}});
  EXPECT_EQ(body["choices"][0]["message"]["reasoning"], "on an");
  EXPECT_FALSE(body["choices"][0]["message"]["content"].get<std::string>().empty());
  const Json effort = ask_chat({{"reasoning_effort", "high"}, {"max_tokens", 8}});
  EXPECT_EQ(effort["choices"][0]["message"]["reasoning"], "on and o");
  const Json none = ask_chat({{"reasoning_effort", "none"}, {"max_tokens", 8}});
  EXPECT_EQ(none["choices"][0]["message"]["content"], "on and o");
}

TEST_F(ChatAnswer, EndsWhereTheRequestSays) {
  app.speak("alpha beta");
  const Json token = ask_chat({{"stop_token_ids", {' '}}});
  EXPECT_EQ(token["choices"][0]["message"]["content"], "alpha");
  EXPECT_EQ(token["choices"][0]["stop_reason"], ' ');
  const Json text = ask_chat({{"stop", "be"}, {"include_stop_str_in_output", true}});
  EXPECT_EQ(text["choices"][0]["message"]["content"], "alpha be");
  EXPECT_EQ(text["choices"][0]["stop_reason"], "be");
  EXPECT_TRUE(ask_chat({})["choices"][0]["stop_reason"].is_null());
  const Json longer = ask_chat({{"ignore_eos", true}, {"max_tokens", 20}});
  EXPECT_EQ(longer["usage"]["completion_tokens"], 20);
  EXPECT_EQ(longer["choices"][0]["finish_reason"], "length");
  const Json least = ask_chat({{"min_tokens", 15}, {"max_tokens", 40}});
  EXPECT_GE(least["usage"]["completion_tokens"], 15);
}

TEST_F(ChatAnswer, AccountsAreComplete) {
  app.speak("alpha beta");
  const Json body = ask_chat({{"return_token_ids", true}});
  const Json& timings = body["timings"];
  EXPECT_EQ(timings["predicted_n"], 11);
  EXPECT_EQ(timings["cache_n"].get<int>() + timings["prompt_n"].get<int>(),
            body["usage"]["prompt_tokens"]);
  for (const char* name :
       {"queue_ms", "prompt_ms", "prompt_per_second", "predicted_ms", "predicted_per_second"})
    EXPECT_GE(timings[name].get<double>(), 0) << name;
  EXPECT_EQ(body["choices"][0]["token_ids"].size(), 10u);
  const Reply reply = app.post(
      "/v1/chat/completions",
      request({{"stream", true},
               {"timings_per_token", true},
               {"stream_options", {{"include_usage", true}, {"continuous_usage_stats", true}}}}));
  int64_t tokens = 0;
  for (const std::string& event : reply.events()) {
    if (event == "[DONE]") continue;
    const Json chunk = Json::parse(event);
    EXPECT_GE(chunk["usage"]["completion_tokens"], tokens);
    tokens = chunk["usage"]["completion_tokens"];
    if (!chunk["choices"].empty() && chunk["choices"][0]["delta"].value("content", "") != "") {
      EXPECT_TRUE(chunk.contains("timings"));
    }
  }
  EXPECT_EQ(tokens, 11);
}

TEST_F(ChatAnswer, BestOfAreTheLikeliest) {
  // The log-probability of a token is its choice's, by its seed.
  app.backend.on_sample = [](const SampleParams& params) {
    for (size_t i = 0; i < params.rows.size(); ++i) {
      const uint64_t seed = params.rows[i].params->seed;
      params.results[i].token = static_cast<int32_t>('a' + seed);
      params.results[i].logprob = seed == 3 ? -0.5f : seed == 1 ? -1.0f : -2.0f;
    }
  };
  const Json body = Json::parse(
      app.post("/v1/completions",
               {{"prompt", "x"}, {"seed", 0}, {"n", 2}, {"best_of", 5}, {"max_tokens", 3}})
          .body);
  ASSERT_EQ(body["choices"].size(), 2u);
  EXPECT_EQ(body["choices"][0]["text"], "ddd");
  EXPECT_EQ(body["choices"][0]["index"], 0);
  EXPECT_EQ(body["choices"][1]["text"], "bbb");
  EXPECT_EQ(body["usage"]["completion_tokens"], 15);
}

}  // namespace
}  // namespace mica::test

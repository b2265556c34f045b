// Prompts with log-probabilities over real sockets: echo with logprobs, prompt_logprobs.
#include <gtest/gtest.h>

#include <thread>

#include "http/test_app.h"

namespace mica::test {
namespace {

using Tokens = std::vector<int32_t>;

struct PromptLogprobs : testing::Test {
  PromptLogprobs() { app.make_ready(); }
  TestApp app;

  Json post(const Json& body, const std::string& path = "/v1/completions") {
    const Reply reply = app.post(path, body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return Json::parse(reply.body);
  }
  Json logprobs(const Json& body) { return post(body)["choices"][0]["logprobs"]; }

  // Of the scores of `prompt` at the beginning of a choice.
  void expect_scores(const Json& logprobs, const Tokens& prompt, int32_t top) {
    ASSERT_GE(logprobs["tokens"].size(), prompt.size());
    EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
    EXPECT_TRUE(logprobs["top_logprobs"][0].is_null());
    for (size_t i = 1; i < prompt.size(); ++i) {
      SCOPED_TRACE(i);
      const SampleResult wanted = app.model->score(std::span(prompt).first(i), prompt[i], top);
      EXPECT_EQ(logprobs["token_logprobs"][i].get<float>(), wanted.logprob);
      const Json& tops = logprobs["top_logprobs"][i];
      if (top == 0) {
        EXPECT_TRUE(logprobs["top_logprobs"].is_null());
      }
      std::vector<float> found, expected;
      for (const auto& [name, value] : tops.items()) found.push_back(value.get<float>());
      for (const TokenLogprob& one : wanted.top) expected.push_back(one.logprob);
      EXPECT_EQ(found, expected);
    }
  }
  void expect_error(const Json& body, const std::string& param, const std::string& part) {
    const Reply reply = app.post("/v1/completions", body);
    EXPECT_EQ(reply.status, 400) << reply.body;
    const Json error = Json::parse(reply.body)["error"];
    EXPECT_EQ(error["param"], param);
    EXPECT_NE(error["message"].get<std::string>().find(part), std::string::npos) << error;
  }
};

Json echo(const Json& prompt, const Json& further = Json::object()) {
  Json body = {{"prompt", prompt}, {"echo", true}, {"logprobs", 2}, {"max_tokens", 4}};
  for (const auto& [key, value] : further.items()) body[key] = value;
  return body;
}

TEST_F(PromptLogprobs, TheAnswerFollowsThePrompt) {
  const Json body = post(echo("abcd"));
  const Json& choice = body["choices"][0];
  const std::string answer = app.expected_text(app.text->encode("abcd"), 4);
  EXPECT_EQ(choice["text"], "abcd" + answer);
  EXPECT_EQ(body["usage"]["prompt_tokens"], 4);
  EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
  const Json& found = choice["logprobs"];
  expect_scores(found, app.text->encode("abcd"), 2);
  const size_t tokens = 4 + body["usage"]["completion_tokens"].get<size_t>();
  for (const char* list : {"tokens", "token_logprobs", "top_logprobs", "text_offset"})
    EXPECT_EQ(found[list].size(), tokens) << list;
  EXPECT_EQ(found["tokens"][2], "c");
  EXPECT_EQ(found["token_logprobs"][4], -1.0);  // the fake model's
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(found["text_offset"][i], i);
}

TEST_F(PromptLogprobs, WithoutAnAnswer) {
  const Json body = post(echo("hello", {{"max_tokens", 0}}));
  EXPECT_EQ(body["choices"][0]["text"], "hello");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(body["choices"][0]["logprobs"]["tokens"].size(), 5u);
  expect_scores(body["choices"][0]["logprobs"], app.text->encode("hello"), 2);
  EXPECT_EQ(body["usage"]["prompt_tokens"], 5);
  EXPECT_EQ(body["usage"]["completion_tokens"], 0);
  EXPECT_EQ(app.model->computed_tokens, 4);
  const Json one = logprobs(echo("x", {{"max_tokens", 0}}));
  EXPECT_EQ(one["token_logprobs"], Json::array({nullptr}));
}

TEST_F(PromptLogprobs, AlternativesMayBeLeftOut) {
  const Json none = logprobs(echo("abc", {{"logprobs", 0}}));
  EXPECT_TRUE(none["top_logprobs"].is_null());
  EXPECT_EQ(none["token_logprobs"][2].get<float>(), app.model->score({{97, 98}}, 99, 0).logprob);
  EXPECT_TRUE(post(echo("abc", {{"logprobs", nullptr}}))["choices"][0]["logprobs"].is_null());
}

// What lm-evaluation-harness asks, and how it reads the answer: everything but the last token.
TEST_F(PromptLogprobs, OfTokenIdsOfSeveralPrompts) {
  const std::vector<Tokens> prompts = {{97, 98, 99, 100, 101}, {120, 121}, {259, 5, 6}};
  for (const bool ends : {false, true}) {
    if (ends) app.speak("");  // the model ends its answer at once
    const Json body = post(echo(prompts, {{"logprobs", 1}, {"max_tokens", 1}, {"seed", 1234}}));
    ASSERT_EQ(body["choices"].size(), 3u);
    EXPECT_EQ(body["usage"]["prompt_tokens"], 10);
    for (size_t p = 0; p < prompts.size(); ++p) {
      SCOPED_TRACE(p);
      const Json& found = body["choices"][p]["logprobs"];
      EXPECT_EQ(found["tokens"].size(), prompts[p].size() + 1);
      EXPECT_EQ(found["top_logprobs"].size(), prompts[p].size() + 1);
      if (ends) {
        EXPECT_EQ(found["tokens"].back(), "<|im_end|>");
      }
      expect_scores(found, prompts[p], 1);
    }
  }
}

TEST_F(PromptLogprobs, APromptIsScoredOnce) {
  const Json body = post(echo({"abcdef", "xyz"}, {{"max_tokens", 0}, {"n", 3}}));
  ASSERT_EQ(body["choices"].size(), 6u);
  for (size_t i = 0; i < 6; ++i)
    expect_scores(body["choices"][i]["logprobs"], app.text->encode(i < 3 ? "abcdef" : "xyz"), 2);
  EXPECT_EQ(app.model->computed_tokens, 5 + 2);
  const Json best = post(echo("abcdef", {{"best_of", 4}, {"n", 2}, {"temperature", 1}}));
  ASSERT_EQ(best["choices"].size(), 2u);
  expect_scores(best["choices"][1]["logprobs"], app.text->encode("abcdef"), 2);
}

// Of one answer over a stream.
TEST_F(PromptLogprobs, AStreamBeginsWithThem) {
  const Json whole = post(echo("abcd"))["choices"][0];
  std::string text;
  Json lists;
  bool first = true;
  for (const std::string& event :
       app.post("/v1/completions", echo("abcd", {{"stream", true}})).events()) {
    if (event == "[DONE]") continue;
    const Json choice = Json::parse(event)["choices"][0];
    text += choice["text"].get<std::string>();
    if (first) {
      EXPECT_TRUE(text.starts_with("abcd"));
      expect_scores(choice["logprobs"], app.text->encode("abcd"), 2);
    }
    first = false;
    for (const auto& [name, list] : choice["logprobs"].items())
      for (const Json& value : list) lists[name].push_back(value);
  }
  EXPECT_EQ(text, whole["text"]);
  EXPECT_EQ(lists, whole["logprobs"]);
}

TEST_F(PromptLogprobs, OffsetsCountCharacters) {
  const Json found = logprobs(echo("<|im_start|>\u00e9x", {{"max_tokens", 0}}));
  EXPECT_EQ(found["tokens"], Json::array({"<|im_start|>", "bytes:\\xc3", "bytes:\\xa9", "x"}));
  EXPECT_EQ(found["text_offset"], Json::array({0, 12, 12, 13}));
  // The text of token ids has no special tokens.
  const Tokens ids = app.text->encode("<|im_start|>\u00e9x");
  const Json body = post(echo(ids, {{"max_tokens", 0}}));
  EXPECT_EQ(body["choices"][0]["text"], "\u00e9x");
  EXPECT_EQ(body["choices"][0]["logprobs"]["text_offset"], Json::array({0, 0, 0, 1}));
  const Json named = logprobs(echo("ab", {{"return_tokens_as_token_ids", true}}));
  EXPECT_EQ(named["tokens"][1], "token_id:98");
}

TEST_F(PromptLogprobs, WhatIsCutIsNotEchoed) {
  const Json body = post(echo("abcdef", {{"truncate_prompt_tokens", 2}, {"max_tokens", 0}}));
  EXPECT_EQ(body["choices"][0]["text"], "ef");
  EXPECT_EQ(body["choices"][0]["logprobs"]["tokens"], Json::array({"e", "f"}));
  EXPECT_EQ(body["choices"][0]["logprobs"]["text_offset"], Json::array({0, 1}));
  expect_scores(body["choices"][0]["logprobs"], {'e', 'f'}, 2);
}

TEST_F(PromptLogprobs, EntriesOfVllm) {
  const Tokens prompt = app.text->encode("abc");
  const Json body = post({{"prompt", {"abc", "x"}}, {"max_tokens", 2}, {"prompt_logprobs", 2}});
  EXPECT_TRUE(body["choices"][0]["logprobs"].is_null());
  EXPECT_EQ(body["choices"][0]["text"], app.expected_text(prompt, 2));
  EXPECT_EQ(body["choices"][1]["prompt_logprobs"], Json::array({nullptr}));
  const Json& list = body["choices"][0]["prompt_logprobs"];
  ASSERT_EQ(list.size(), 3u);
  EXPECT_TRUE(list[0].is_null());
  const SampleResult wanted = app.model->score({{'a'}}, 'b', 2);
  const Json entry = list[1].begin().value();
  EXPECT_EQ(list[1].begin().key(), "98");
  EXPECT_EQ(entry["logprob"].get<float>(), wanted.logprob);
  EXPECT_EQ(entry["decoded_token"], "b");
  for (size_t i = 0; i < 2; ++i) {
    const Json& top = list[1][std::to_string(wanted.top[i].token)];
    EXPECT_EQ(top["logprob"].get<float>(), wanted.top[i].logprob);
    EXPECT_EQ(top["rank"], i + 1);
  }
  const bool leads = wanted.top[0].token == 'b' || wanted.top[1].token == 'b';
  EXPECT_EQ(list[1].size(), leads ? 2u : 3u);
  EXPECT_EQ(entry["rank"].is_null(), !leads);
}

TEST_F(PromptLogprobs, OfChats) {
  const Tokens prompt = app.chat_prompt("hi");
  const Json body = post(chat("hi", {{"prompt_logprobs", 0}}), "/v1/chat/completions");
  EXPECT_EQ(body["choices"][0]["message"]["content"], app.expected_text(prompt, 8));
  const Json& list = body["prompt_logprobs"];
  ASSERT_EQ(list.size(), prompt.size());
  for (size_t i = 1; i < prompt.size(); ++i) {
    const SampleResult wanted = app.model->score(std::span(prompt).first(i), prompt[i], 0);
    ASSERT_EQ(list[i].size(), 1u);
    EXPECT_EQ(list[i][std::to_string(prompt[i])]["logprob"].get<float>(), wanted.logprob);
  }
  // Both kinds, of as many alternatives as each asks.
  const Json both = post(echo("abcd", {{"prompt_logprobs", 4}}))["choices"][0];
  expect_scores(both["logprobs"], app.text->encode("abcd"), 2);
  EXPECT_GE(both["prompt_logprobs"][1].size(), 4u);
}

TEST_F(PromptLogprobs, WrongFieldsAreNamed) {
  expect_error(echo("abc", {{"logprobs", 21}}), "logprobs", "20");
  expect_error(echo(std::string(3000, 'q')), "prompt", "3000 tokens");
  expect_error({{"prompt", "x"}, {"prompt_logprobs", 21}}, "prompt_logprobs", "20");
  expect_error({{"prompt", "x"}, {"prompt_logprobs", -1}}, "prompt_logprobs", "0");
  expect_error({{"prompt", "x"}, {"prompt_logprobs", true}}, "prompt_logprobs", "number");
  expect_error({{"prompt", "x"}, {"prompt_logprobs", 1}, {"stream", true}}, "prompt_logprobs",
               "stream");
}

TEST(NoPromptLogprobs, AServerWithoutThemSaysSo) {
  TestApp app;
  app.served.scorer = nullptr;
  app.make_ready();
  const Reply reply = app.post("/v1/completions", echo("abc"));
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(Json::parse(reply.body)["error"]["param"], "logprobs");
  EXPECT_EQ(app.post("/v1/completions", echo("abc", {{"logprobs", nullptr}})).status, 200);
}

// A model whose logits are no numbers, an engine that has failed.
TEST_F(PromptLogprobs, FaultsAreAnswers) {
  app.backend.on_sample = [](const SampleParams& params) {
    for (size_t r = 0; r < params.rows.size(); ++r)
      if (params.rows[r].given >= 0) params.results[r].logprob = std::nanf("");
  };
  const Reply reply = app.post("/v1/completions", echo("abc"));
  EXPECT_EQ(reply.status, 500);
  EXPECT_NE(reply.body.find("no numbers"), std::string::npos) << reply.body;
  EXPECT_EQ(app.post("/v1/completions", echo("abc", {{"logprobs", nullptr}})).status, 200);
}

TEST_F(PromptLogprobs, BesideAnswersThatRun) {
  const std::string text(1500, 'z');
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      expect_scores(logprobs(echo(text, {{"max_tokens", 2}})), app.text->encode(text), 2);
    });
  const Reply reply = app.post("/v1/chat/completions", chat("hello", {{"max_tokens", 40}}));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Json::parse(reply.body)["choices"][0]["message"]["content"],
            app.expected_text(app.chat_prompt("hello"), 40));
}

TEST_F(PromptLogprobs, TimeToScoreCounts) {
  for (const char* stream : {"false", "true"}) {
    const int before = app.arrived;
    app.hold();
    Client client(app.port());
    client.patience = std::chrono::seconds(5);
    client.request("POST", "/v1/completions", echo("abc", {{"stream", Json::parse(stream)}}).dump(),
                   "X-Request-Timeout: 0.3\r\n");
    ASSERT_TRUE(eventually([&] { return app.arrived == before + 1; }));
    const auto reply = client.reply();
    app.open();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 504);
    EXPECT_NE(reply->body.find("0.3 seconds"), std::string::npos) << reply->body;
  }
  EXPECT_EQ(app.engine->stats().requests, 0u);  // none was submitted
  EXPECT_TRUE(app.engine_is_idle());
}

TEST_F(PromptLogprobs, WorkEndsWhenTheClientLeaves) {
  app.hold();
  Client client(app.port());
  client.request("POST", "/v1/completions", echo(std::string(2000, 'z')).dump());
  ASSERT_TRUE(eventually([&] { return app.arrived == 1; }));
  client.close();
  ASSERT_TRUE(eventually([&] { return app.app->active_requests() == 0; }));
  app.open();
  post(echo("after"));
  EXPECT_LT(app.model->computed_tokens, 2000);
}

}  // namespace
}  // namespace mica::test

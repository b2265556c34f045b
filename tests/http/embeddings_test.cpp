// POST /v1/embeddings over real sockets.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <thread>

#include "golden_model.h"
#include "http/test_app.h"

namespace mica::test {
namespace {

struct Embeddings : testing::Test {
  Embeddings() { app.make_ready(); }
  TestApp app;

  Json post(const Json& body, const std::string& path = "/v1/embeddings") {
    const Reply reply = app.post(path, body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return Json::parse(reply.body);
  }
  void expect_error(const Json& body, const std::string& param, const std::string& part,
                    int status = 400) {
    const Reply reply = app.post("/v1/embeddings", body);
    EXPECT_EQ(reply.status, status) << reply.body;
    const Json error = Json::parse(reply.body)["error"];
    EXPECT_EQ(error["param"], param);
    EXPECT_NE(error["message"].get<std::string>().find(part), std::string::npos) << error;
  }
};

// What the fake model makes of a text: the state of its last token, of unit length.
std::vector<float> expected(const std::vector<int32_t>& tokens, size_t dimensions = 5) {
  std::vector<float> state = fake::FakeModel::hidden_state(tokens);
  state.resize(dimensions);
  double squares = 0;
  for (const float value : state) squares += double{value} * double{value};
  for (float& value : state) value = static_cast<float>(value / std::sqrt(squares));
  return state;
}

std::vector<int32_t> bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

void expect_vector(const Json& found, const std::vector<float>& vector) {
  ASSERT_EQ(found.size(), vector.size());
  for (size_t i = 0; i < vector.size(); ++i) EXPECT_NEAR(found[i].get<float>(), vector[i], 1e-6);
}

TEST_F(Embeddings, OneTextHasItsShape) {
  const Json body = post({{"input", "hello"}, {"model", "fake-model"}, {"user", "somebody"}});
  EXPECT_EQ(body["object"], "list");
  EXPECT_EQ(body["model"], "fake-model");
  ASSERT_EQ(body["data"].size(), 1);
  EXPECT_EQ(body["data"][0]["object"], "embedding");
  EXPECT_EQ(body["data"][0]["index"], 0);
  expect_vector(body["data"][0]["embedding"], expected(bytes_of("hello")));
  EXPECT_EQ(body["usage"]["prompt_tokens"], 5);
  EXPECT_EQ(body["usage"]["total_tokens"], 5);
}

TEST_F(Embeddings, ListsOfTextsAndOfTokens) {
  const Json texts = post({{"input", {"a", "some more", "x"}}}, "/embeddings");
  ASSERT_EQ(texts["data"].size(), 3);
  EXPECT_EQ(texts["data"][2]["index"], 2);
  expect_vector(texts["data"][1]["embedding"], expected(bytes_of("some more")));
  EXPECT_EQ(texts["usage"]["prompt_tokens"], 11);
  const Json tokens = post({{"input", {7, 8, 259}}});
  ASSERT_EQ(tokens["data"].size(), 1);
  expect_vector(tokens["data"][0]["embedding"], expected({7, 8, 259}));
  const Json lists = post({{"input", {{1, 2}, {3}}}});
  ASSERT_EQ(lists["data"].size(), 2);
  expect_vector(lists["data"][1]["embedding"], expected({3}));
}

TEST_F(Embeddings, Base64IsTheSameFloats) {
  for (const int dimensions : {1, 2, 3, 4, 5}) {
    const Json body =
        post({{"input", "abc"}, {"encoding_format", "base64"}, {"dimensions", dimensions}});
    const auto text = body["data"][0]["embedding"].get<std::string>();
    EXPECT_EQ(text.size() % 4, 0u);
    const std::vector<float> found = decode_floats(text);
    const std::vector<float> vector = expected(bytes_of("abc"), static_cast<size_t>(dimensions));
    ASSERT_EQ(found.size(), vector.size());
    for (size_t i = 0; i < vector.size(); ++i) EXPECT_NEAR(found[i], vector[i], 1e-6);
  }
}

TEST_F(Embeddings, LongTextsAreErrorsOrCut) {
  const std::string text(3000, 'q');
  expect_error({{"input", text}}, "input", "input: 3000 tokens, the model takes 2048");
  expect_error({{"input", {"a", text}}}, "input[1]", "3000 tokens, the model takes 2048");
  const Json whole = post({{"input", text}, {"truncate_prompt_tokens", -1}});
  EXPECT_EQ(whole["usage"]["prompt_tokens"], 2048);
  const Json cut = post({{"input", {"abcdefgh"}}, {"truncate_prompt_tokens", 3}});
  expect_vector(cut["data"][0]["embedding"], expected(bytes_of("abc")));
}

TEST_F(Embeddings, WrongFieldsAreNamed) {
  expect_error(Json::object(), "input", "found none");
  expect_error({{"input", Json::array()}}, "input", "expected");
  expect_error({{"input", ""}}, "input", "no tokens");
  expect_error({{"input", {1, 260}}}, "input[1]", "259");
  expect_error({{"input", {"a", 5}}}, "input[1]", "expected a text");
  expect_error({{"input", Json(std::vector<std::string>(2049, "a"))}}, "input", "at most 2048");
  expect_error({{"input", "a"}, {"encoding_format", "hex"}}, "encoding_format", "base64");
  expect_error({{"input", "a"}, {"dimensions", 6}}, "dimensions", "5");
  expect_error({{"input", "a"}, {"dimensions", 0}}, "dimensions", "1");
  expect_error({{"input", "a"}, {"truncate_prompt_tokens", 0}}, "truncate_prompt_tokens", "-1");
  expect_error({{"input", "a"}, {"model", "other"}}, "model", "does not exist", 404);
}

TEST_F(Embeddings, ServerWithoutThemSaysSo) {
  app.served.embedder = nullptr;
  EXPECT_EQ(app.post("/v1/embeddings", {{"input", "a"}}).status, 404);
}

// An answer goes on between the pieces of a long text, and the client of a text may leave.
TEST_F(Embeddings, BesideAnswersThatRun) {
  const std::string text(2000, 'z');
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      const Json body = post({{"input", {text, "short"}}});
      expect_vector(body["data"][0]["embedding"], expected(bytes_of(text)));
      expect_vector(body["data"][1]["embedding"], expected(bytes_of("short")));
    });
  const Reply reply = app.post("/v1/chat/completions", chat("hello", {{"max_tokens", 40}}));
  for (std::thread& thread : threads) thread.join();
  const Json answer = Json::parse(reply.body);
  EXPECT_EQ(answer["choices"][0]["message"]["content"],
            app.expected_text(app.chat_prompt("hello"), 40));
}

TEST_F(Embeddings, TimeInTheQueueCounts) {
  app.hold();
  const std::string body = Json({{"input", "hello"}}).dump();
  std::vector<Client> before;  // one computes, one waits for its turn
  for (int i = 0; i < 2; ++i)
    before.emplace_back(app.port()).request("POST", "/v1/embeddings", body);
  ASSERT_TRUE(eventually([&] { return app.arrived == 1; }));
  Client late(app.port());
  late.patience = std::chrono::seconds(5);
  late.request("POST", "/v1/embeddings", body, "X-Request-Timeout: 0.3\r\n");
  const auto reply = late.reply();
  app.open();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 504);
  EXPECT_NE(reply->body.find("0.3 seconds"), std::string::npos) << reply->body;
  for (Client& client : before) EXPECT_EQ(client.reply()->status, 200);
}

TEST_F(Embeddings, WorkEndsWhenTheClientLeaves) {
  app.hold();
  Client client(app.port());
  client.request("POST", "/v1/embeddings", Json({{"input", std::string(2048, 'z')}}).dump());
  ASSERT_TRUE(eventually([&] { return app.arrived == 1; }));
  client.close();
  ASSERT_TRUE(eventually([&] { return app.app->active_requests() == 0; }));
  app.open();
  post({{"input", "after"}});
  EXPECT_LT(app.model->computed_tokens, 2048);
}

}  // namespace
}  // namespace mica::test

// Every dialect runs on the model and the adapter that its request names.
#include <gtest/gtest.h>

#include "http/test_app.h"
#include "server/adapter_table.h"

namespace mica::test {
namespace {

// A server with the models "org/fake-model", the default, and "org/second" with the adapter "tone".
struct TwoModels : testing::Test {
  TwoModels() {
    AdapterTable::Loader loader;
    loader.load = [](const std::string&) { return int64_t{7}; };
    loader.unload = [](int64_t) {};
    second.served.id = "org/second";
    second.served.aliases = {"second"};
    second.served.adapters = std::make_shared<AdapterTable>(loader, /*allow_changes=*/false);
    second.served.adapters->add("tone", "/adapters/tone");
    first.app->models().add_loaded(first.served);
    first.app->models().add_loaded(second.served);
    first.app->set_ready();
  }
  Reply ask_for(const std::string& model, const std::string& path, Json body) {
    body["model"] = model;
    return first.post(path, body);
  }
  TestApp second, first;
};

const Json kMessages = Json::array({{{"role", "user"}, {"content", "x"}}});

const std::pair<const char*, Json> kGenerating[] = {
    {"/v1/chat/completions", {{"messages", kMessages}, {"max_tokens", 3}}},
    {"/v1/completions", {{"prompt", "x"}, {"max_tokens", 3}}},
    {"/v1/messages", {{"messages", kMessages}, {"max_tokens", 3}}},
    {"/v1/responses", {{"input", "x"}, {"max_output_tokens", 16}}},
    {"/v1/embeddings", {{"input", "x"}}},
};

const std::pair<const char*, Json> kCounting[] = {
    {"/v1/chat/completions/input_tokens", {{"messages", kMessages}}},
    {"/v1/messages/count_tokens", {{"messages", kMessages}}},
    {"/v1/responses/input_tokens", {{"input", "x"}}},
    {"/tokenize", {{"prompt", "x"}}},
    {"/detokenize", {{"tokens", {65}}}},
    {"/apply-template", {{"messages", kMessages}}},
};

TEST_F(TwoModels, TheNamedOneAnswers) {
  for (const auto& [path, body] : kGenerating) {
    const int before = second.arrived, others = first.arrived;
    const Reply reply = ask_for("second", path, body);
    EXPECT_EQ(reply.status, 200) << path << reply.body;
    EXPECT_GT(second.arrived, before) << path;
    EXPECT_EQ(first.arrived, others) << path;
    EXPECT_EQ(Json::parse(reply.body)["model"], "second") << path;
    EXPECT_EQ(ask_for("org/fake-model", path, body).status, 200) << path;
    EXPECT_GT(first.arrived, others) << path;
  }
  for (const auto& [path, body] : kCounting)
    EXPECT_EQ(ask_for("second", path, body).status, 200) << path;
}

TEST_F(TwoModels, AnUnknownOneIsNotFoundInAnyDialect) {
  for (const auto& [path, body] : kGenerating)
    EXPECT_EQ(ask_for("third", path, body).status, 404) << path;
  for (const auto& [path, body] : kCounting)
    EXPECT_EQ(ask_for("third", path, body).status, 404) << path;
  const Reply reply = ask_for("third", kGenerating[2].first, kGenerating[2].second);
  EXPECT_EQ(Json::parse(reply.body)["type"], "error");  // Anthropic's shape
}

// The engines of this test hold no adapter: that they say so shows that its id has reached them.
TEST_F(TwoModels, TheAdapterReachesTheEngine) {
  for (const auto& [path, body] : kGenerating) {
    const Reply reply = ask_for("tone", path, body);
    EXPECT_GE(reply.status, 400) << path;
    EXPECT_NE(reply.body.find("adapter is not loaded any more"), std::string::npos)
        << path << reply.body;
    Json without = body;
    without["adapters"] = "";
    EXPECT_EQ(ask_for("tone", path, without).status, 200) << path;
  }
  for (const auto& [path, body] : kCounting)
    EXPECT_EQ(ask_for("tone", path, body).status, 200) << path;
}

TEST_F(TwoModels, AnswersOfDialectsAreOfEachModel) {
  EXPECT_NE(first.served.answers, second.served.answers);
}

}  // namespace
}  // namespace mica::test

// Tokens, templates, infill: the endpoints and the small parts.
#include <gtest/gtest.h>

#include "http/test_app.h"
#include "server/infill.h"

namespace mica::test {
namespace {

struct Tokens : testing::Test {
  Tokens() { app.make_ready(); }
  TestApp app;

  Json post(const std::string& path, const Json& body) {
    const Reply reply = app.post(path, body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return Json::parse(reply.body);
  }
};

TEST_F(Tokens, TextToTokensAndBack) {
  const Json expected = {'h', 'i', 257};
  for (const char* name : {"prompt", "content"}) {
    const Json body = post("/tokenize", {{name, "hi<|im_end|>"}});
    EXPECT_EQ(body["tokens"], expected);
    EXPECT_EQ(body["count"], 3);
    EXPECT_EQ(body["max_model_len"], 2048);
  }
  const Json pieces = post("/tokenize", {{"content", "h\u00e9"}, {"with_pieces", true}});
  EXPECT_EQ(pieces["tokens"][0], Json({{"id", 'h'}, {"piece", "h"}}));
  EXPECT_EQ(pieces["tokens"][1]["piece"], Json({0xc3}));
  const Json names = post("/tokenize", {{"prompt", "h"}, {"return_token_strs", true}});
  EXPECT_EQ(names["token_strs"], Json({"h"}));
  const Json text = post("/detokenize", {{"tokens", expected}});
  EXPECT_EQ(text["prompt"], "hi<|im_end|>");
  EXPECT_EQ(text["content"], text["prompt"]);
}

TEST_F(Tokens, PromptsOfChats) {
  const Json messages = {{{"role", "user"}, {"content", "hello"}}};
  const std::string prompt = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(post("/apply-template", {{"messages", messages}})["prompt"], prompt);
  const size_t count = app.chat_prompt("hello").size();
  EXPECT_EQ(post("/tokenize", {{"messages", messages}})["count"], count);
  const Json counted = post("/v1/chat/completions/input_tokens", {{"messages", messages}});
  EXPECT_EQ(counted["input_tokens"], count);
  EXPECT_EQ(counted["object"], "response.input_tokens");
}

TEST_F(Tokens, WrongValuesNameTheirField) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"/tokenize", R"({})", "prompt"},
      {"/tokenize", R"({"content": 5})", "content"},
      {"/detokenize", R"({})", "tokens"},
      {"/detokenize", R"({"tokens": [260]})", "tokens[0]"},
      {"/apply-template", R"({})", "messages"},
  };
  for (const auto& [path, body, param] : cases) {
    const Reply reply = ask(app.port(), "POST", path, body);
    EXPECT_EQ(reply.status, 400) << path << body;
    EXPECT_EQ(Json::parse(reply.body)["error"]["param"], param);
  }
}

std::vector<int32_t> infill(const std::vector<std::string>& tokens) {
  const auto text = test_text_model(tokens);
  const auto found = InfillTokens::find(text->tokenizer());
  return found ? found->prompt(*text, "a", "b") : std::vector<int32_t>();
}

TEST(Infill, FamiliesOrderTheirParts) {
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(infill({}), Ids());
  EXPECT_EQ(infill({"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}),
            Ids({260, 'a', 261, 'b', 262}));
  EXPECT_EQ(infill({"<fim_prefix>", "<fim_suffix>", "<fim_middle>"}),
            Ids({260, 'a', 261, 'b', 262}));
  EXPECT_EQ(infill({"\u2581<PRE>", "\u2581<MID>", "\u2581<SUF>"}), Ids({260, 'a', 262, 'b', 261}));
  EXPECT_EQ(infill({"<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>",
                    "<\uff5cfim\u2581end\uff5c>"}),
            Ids({260, 'a', 261, 'b', 262}));
  EXPECT_EQ(infill({"[SUFFIX]", "[PREFIX]"}), Ids({260, 'b', 261, 'a'}));
}

}  // namespace
}  // namespace mica::test

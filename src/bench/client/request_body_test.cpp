#include "bench/client/request_body.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "bench/client/image.h"
#include "temp_folder.h"

namespace mica {
namespace {

using Json = nlohmann::json;

RequestContent question() {
  RequestContent content;
  content.model = "m";
  content.messages = {{"system", {{"be brief", ""}}}, {"user", {{"hello", ""}}}};
  return content;
}

PlanDialect everything() {
  PlanDialect dialect;
  dialect.ignore_eos = dialect.min_tokens = dialect.seed = dialect.stream_usage = true;
  dialect.token_prompts = true;
  return dialect;
}

TEST(RequestBody, AsksForAChat) {
  const RequestBody body = request_body(PlanDialect(), question());
  EXPECT_EQ(body.path, "/v1/chat/completions");
  EXPECT_EQ(Json::parse(body.json),
            Json::parse(R"({"model":"m","messages":[{"role":"system","content":"be brief"},
                           {"role":"user","content":"hello"}],"stream":true})"));
  EXPECT_TRUE(body.left_out.empty());
}

TEST(RequestBody, SendsWhatTheDialectTakes) {
  RequestContent content = question();
  content.max_tokens = 7;
  content.exact_length = true;
  content.seed = 3;
  content.fields = {{"temperature", "0"}, {"stop", R"(["x"])"}};
  const Json all = Json::parse(request_body(everything(), content).json);
  EXPECT_EQ(all["max_tokens"], 7);
  EXPECT_EQ(all["min_tokens"], 7);
  EXPECT_EQ(all["ignore_eos"], true);
  EXPECT_EQ(all["seed"], 3);
  EXPECT_EQ(all["temperature"], 0);
  EXPECT_EQ(all["stop"], Json::array({"x"}));
  EXPECT_EQ(all["stream_options"], Json({{"include_usage", true}}));

  const RequestBody few = request_body(PlanDialect(), content);
  const Json json = Json::parse(few.json);
  EXPECT_EQ(json["max_tokens"], 7);
  for (const char* absent : {"min_tokens", "ignore_eos", "seed", "stream_options"})
    EXPECT_FALSE(json.contains(absent)) << absent;
  EXPECT_EQ(few.left_out, (std::vector<std::string>{"ignore_eos", "min_tokens", "seed"}));
}

TEST(RequestBody, CountsOnlyInStreams) {
  RequestContent content = question();
  content.stream = false;
  const Json json = Json::parse(request_body(everything(), content).json);
  EXPECT_EQ(json["stream"], false);
  EXPECT_FALSE(json.contains("stream_options"));
}

TEST(RequestBody, AsksForACompletion) {
  RequestContent content;
  content.model = "m";
  content.prompt = "a \xff b";
  const RequestBody text = request_body(everything(), content);
  EXPECT_EQ(text.path, "/v1/completions");
  EXPECT_EQ(Json::parse(text.json)["prompt"], "a \uFFFD b");
  content.prompt.reset();
  content.tokens = {1, 2, 3};
  EXPECT_EQ(Json::parse(request_body(everything(), content).json)["prompt"], Json({1, 2, 3}));
  EXPECT_THROW(request_body(PlanDialect(), content), Error);
}

TEST(RequestBody, NeedsOneQuestion) {
  RequestContent content;
  EXPECT_THROW(request_body(everything(), content), Error);
  content = question();
  content.prompt = "x";
  EXPECT_THROW(request_body(everything(), content), Error);
  content = question();
  content.fields = {{"temperature", "warm"}};
  EXPECT_THROW(request_body(everything(), content), Error);
}

TEST(RequestBody, KeepsRequestsFromTheCache) {
  PlanDialect dialect;
  dialect.no_cache_field = "cache_prompt";
  dialect.no_cache_value = "false";
  RequestContent content = question();
  EXPECT_FALSE(Json::parse(request_body(dialect, content).json).contains("cache_prompt"));
  content.no_cache = true;
  EXPECT_EQ(Json::parse(request_body(dialect, content).json)["cache_prompt"], false);
  dialect.no_cache_field = "cache_salt";
  dialect.no_cache_value = "\"{unique}\"";
  content.unique = "run-7";
  EXPECT_EQ(Json::parse(request_body(dialect, content).json)["cache_salt"], "run-7");
}

TEST(RequestBody, PassesImagesThrough) {
  RequestContent content = question();
  content.messages = {{"user", {{"", "data:image/png;base64,AA=="}, {"what is it?", ""}}}};
  EXPECT_EQ(Json::parse(request_body(everything(), content).json)["messages"][0]["content"],
            Json::parse(R"([{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},
                           {"type":"text","text":"what is it?"}])"));
}

TEST(Image, EncodesBytes) {  // the vectors of RFC 4648
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) EXPECT_EQ(base64(bytes), text);
  EXPECT_EQ(base64("\xff\xfe\xfd"), "//79");
}

TEST(Image, BecomesAUrl) {
  const TempFolder folder;
  const std::string path = folder.path() / "picture";
  std::ofstream(path, std::ios::binary) << "\x89PNG\r\n\x1a\nrest";
  EXPECT_EQ(image_url(path), "data:image/png;base64," + base64("\x89PNG\r\n\x1a\nrest"));
  std::ofstream(path, std::ios::binary) << "\xff\xd8\xff\xe0";
  EXPECT_EQ(image_url(path), "data:image/jpeg;base64,/9j/4A==");
  EXPECT_EQ(image_url("https://host/x.png"), "https://host/x.png");
  EXPECT_EQ(image_url("data:image/png;base64,AA=="), "data:image/png;base64,AA==");
  std::ofstream(path, std::ios::binary) << "plain text";
  EXPECT_THROW(image_url(path), Error);
  EXPECT_THROW(image_url(folder.path() / "absent"), Error);
}

}  // namespace
}  // namespace mica

// The small parts: stop strings, SSE, targets, heads, CORS, which model a body names.
#include <gtest/gtest.h>

#include <random>

#include "server/http_text.h"
#include "server/requested_model.h"
#include "server/sse.h"
#include "server/stop_matcher.h"

namespace mica {
namespace {

// What a matcher must give, from the whole text at once.
std::string cut(const std::string& text, const std::vector<std::string>& stops) {
  // The stop that is complete first wins; of several that end together, the longest.
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t begin = std::string::npos;
    for (const std::string& stop : stops)
      if (end >= stop.size() && text.compare(end - stop.size(), stop.size(), stop) == 0)
        begin = std::min(begin, end - stop.size());
    if (begin != std::string::npos) return text.substr(0, begin);
  }
  return text;
}

TEST(StopMatcher, SplitsDoNotMatter) {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    const auto word = [&](size_t most) {
      std::string text(1 + random() % most, 'a');
      for (char& c : text) c = static_cast<char>('a' + random() % 2);
      return text;
    };
    std::vector<std::string> stops;
    for (size_t i = random() % 3; i-- > 0;) stops.push_back(word(5));
    const std::string text = word(30);
    StopMatcher matcher(stops);
    std::string got;
    for (size_t at = 0; at < text.size();) {
      const size_t size = 1 + random() % 4;
      got += matcher.add(text.substr(at, size));
      at += size;
    }
    got += matcher.finish();
    ASSERT_EQ(got, cut(text, stops)) << text;
  }
}

TEST(StopMatcher, HoldsBackOnlyWhatMayMatch) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.add("abcE"), "abc");
  EXPECT_EQ(matcher.add("N"), "");
  EXPECT_EQ(matcher.add("x"), "ENx");
  EXPECT_EQ(matcher.add("yEND and more"), "y");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.add("z") + matcher.finish(), "");
}

TEST(Sse, EveryLineIsAField) {
  EXPECT_EQ(sse_data("{}"), "data: {}\n\n");
  EXPECT_EQ(sse_data("a\nb"), "data: a\ndata: b\n\n");
}

TEST(Http, Targets) {
  EXPECT_EQ(parse_target("/a%2Fb?c=%20")->path, "/a/b");
  EXPECT_EQ(parse_target("/a%2Fb?c=%20")->query, "c=%20");
  EXPECT_EQ(parse_target("http://h:1/x")->path, "/x");
  EXPECT_EQ(parse_target("http://h")->path, "/");
  EXPECT_EQ(parse_target("*")->path, "*");
  EXPECT_FALSE(parse_target("x"));
  EXPECT_FALSE(parse_target(""));
  EXPECT_FALSE(parse_target("/%4"));
  EXPECT_FALSE(parse_target("/%g0"));
}

TEST(Http, OriginsAreEchoedOnlyWhenAllowed) {
  const auto allowed = [](const char* list, const char* origin) {
    HttpResponse response;
    add_cors(response, list, origin);
    for (const auto& [name, value] : response.headers)
      if (name == "Access-Control-Allow-Origin") return value;
    return std::string();
  };
  EXPECT_EQ(allowed("*", "http://a"), "*");
  EXPECT_EQ(allowed("http://a, http://b", "http://b"), "http://b");
  EXPECT_EQ(allowed("http://a, http://b", "http://c"), "");
  EXPECT_EQ(allowed("http://a", ""), "");
}

TEST(Http, ChunksAndHeads) {
  EXPECT_EQ(chunk("hello world, 16 b"), "11\r\nhello world, 16 b\r\n");
  EXPECT_EQ(chunk(""), "0\r\n\r\n");
  HttpResponse response;
  response.status = 204;
  response.content_type.clear();
  const std::string head = response_head(response, BodyFraming::kLength, 0, true);
  EXPECT_EQ(head.find("Content-Length"), std::string::npos);
}

TEST(RequestedModel, ReadsTheFirstLevelOnly) {
  const auto both = requested_model(
      R"({"messages":[{"model":"no","content":{"adapters":"no"}}],"model":"a","adapters":"b"})");
  EXPECT_EQ(both.model, "a");
  EXPECT_EQ(both.adapter, "b");
  const auto null = requested_model(R"({"model":null,"adapters":null,"stop":["model"]})");
  EXPECT_EQ(null.model, "");
  EXPECT_FALSE(null.adapter);
  EXPECT_EQ(requested_model(R"({"adapters":"","model":"x"} rest)").adapter, "");
  EXPECT_EQ(requested_model(R"({"model":"a", broken)").model, "a");
  EXPECT_EQ(requested_model("[\"model\"]").model, "");
  EXPECT_EQ(requested_model(std::string(100000, '[')).model, "");
  EXPECT_EQ(requested_model("").model, "");
}

}  // namespace
}  // namespace mica

#include "bench/load/dataset.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace mica {
namespace {

std::vector<DatasetItem> parse(std::string_view text, size_t limit = 0) {
  return parse_dataset(text, detect_dataset(text), "file", limit);
}

// The message of the error that the text makes.
std::string error_of(std::string_view text) {
  try {
    parse(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "none";
}

TEST(Dataset, LinesOfJson) {
  const auto items =
      parse(R"({"prompt": "Hi", "max_tokens": 7, "images": ["a.png"]}

{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "A"},)"
            R"({"role": "assistant", "content": "B"}, {"role": "user", "content": "C"}]}
{"input_tokens": 100, "output_len": 20})"
            "\r\n");
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0].turns[0].user, "Hi");
  EXPECT_EQ(items[0].turns[0].output_tokens, 7);
  EXPECT_EQ(items[0].images, std::vector<std::string>{"a.png"});
  EXPECT_EQ(items[0].time, -1);
  EXPECT_EQ(items[1].system, "Be brief.");
  ASSERT_EQ(items[1].turns.size(), 2u);
  EXPECT_EQ(items[1].turns[0].answer, "B");
  EXPECT_EQ(items[1].turns[1].user, "C");
  EXPECT_EQ(items[1].turns[1].output_tokens, -1);
  EXPECT_FALSE(items[2].has_text());
  EXPECT_EQ(items[2].input_tokens, 100);
  EXPECT_EQ(items[2].turns[0].output_tokens, 20);
}

TEST(Dataset, ATraceIsOrderedAndBeginsAtZero) {
  const auto items = parse(
      "{\"prompt\": \"b\", \"timestamp\": 12.5}\n"
      "{\"prompt\": \"a\", \"timestamp\": 10}\n");
  EXPECT_EQ(items[0].turns[0].user, "a");
  EXPECT_EQ(items[0].time, 0);
  EXPECT_EQ(items[1].time, 2.5);
}

TEST(Dataset, ShareGptSkipsWhatNobodyAsked) {
  const auto items = parse(R"([
    {"id": "x", "conversations": [{"from": "gpt", "value": "dropped"},
       {"from": "human", "value": "one"}, {"from": "human", "value": "two"},
       {"from": "gpt", "value": "answer"}, {"from": "tool", "value": "?"}]},
    {"id": "y", "conversations": []},
    {"id": "z", "conversations": [{"from": "gpt", "value": "alone"}]}])");
  ASSERT_EQ(items.size(), 1u);
  ASSERT_EQ(items[0].turns.size(), 1u);
  EXPECT_EQ(items[0].turns[0].user, "one\ntwo");
  EXPECT_EQ(items[0].turns[0].answer, "answer");
}

TEST(Dataset, BurstGptSkipsFailedRequests) {
  const auto items = parse(
      "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
      "5,ChatGPT,472,18,490,Conversation log\n"
      "45,ChatGPT,1087,0,1087,Conversation log\n"
      "118,GPT-4,417,276,693,API log\n");
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].time, 0);
  EXPECT_EQ(items[0].input_tokens, 472);
  EXPECT_EQ(items[1].time, 113);
  EXPECT_EQ(items[1].turns[0].output_tokens, 276);
}

TEST(Dataset, Mooncake) {
  const auto items = parse(
      R"({"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]})");
  EXPECT_EQ(items[0].input_tokens, 6955);
  EXPECT_EQ(items[0].turns[0].output_tokens, 52);
  EXPECT_EQ(items[0].prefix_blocks, (std::vector<int64_t>{46, 47}));
}

TEST(Dataset, TheLimitEndsTheReading) {
  EXPECT_EQ(parse("{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\nno JSON\n", 2).size(), 2u);
}

TEST(Dataset, WrongFilesNameTheirPlace) {
  EXPECT_NE(error_of("{\"prompt\": \"a\"}\n{\"prompt\": 3}\n").find("file:2: expected a text"),
            std::string::npos);
  EXPECT_NE(error_of("{\"prompt\": \"a\"}\n{\"prom\n").find("file:2: expected JSON"),
            std::string::npos);
  EXPECT_NE(error_of("{\"input_tokens\": -5}").find("a number from 0"), std::string::npos);
  EXPECT_NE(error_of("{\"other\": 1}").find("expected 'prompt'"), std::string::npos);
  EXPECT_NE(error_of("[1]").find("item 0: expected an object, found 1"), std::string::npos);
  EXPECT_NE(error_of("[]").find("expected requests, found none"), std::string::npos);
  EXPECT_NE(error_of("hello").find("found 'hello'"), std::string::npos);
  EXPECT_NE(error_of("Timestamp,Request tokens,Response tokens\n1,x,3\n").find("file:2: column"),
            std::string::npos);
  EXPECT_NE(error_of("Timestamp,Request tokens,Response tokens\n1\n").find("the line has only 1"),
            std::string::npos);
  EXPECT_NE(
      error_of("{\"prompt\": \"a\", \"timestamp\": 1}\n{\"prompt\": \"b\"}").find("a trace needs"),
      std::string::npos);
}

}  // namespace
}  // namespace mica

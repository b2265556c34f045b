#include "bench/client/sse_parser.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace mica {
namespace {

using Events = std::vector<std::pair<std::string, std::string>>;  // type, data

// Fed in portions of `step` bytes.
Events parse(std::string_view text, size_t step, bool last = false) {
  SseParser parser;
  Events out;
  for (size_t at = 0; at < text.size(); at += step) {
    parser.feed(text.substr(at, step));
    while (const auto event = parser.next()) out.emplace_back(event->type, event->data);
  }
  if (!last) return out;
  if (const auto event = parser.last()) out.emplace_back(event->type, event->data);
  return out;
}

void expect(std::string_view text, const Events& events) {
  for (size_t step = 1; step <= text.size(); ++step)
    EXPECT_EQ(parse(text, step), events) << "in portions of " << step;
}

TEST(SseParser, ReadsEventsInAnyPortions) {
  expect("data: one\n\ndata: two\n\n", {{"", "one"}, {"", "two"}});
  expect("data:one\r\n\r\ndata:  two\r\n\r\n", {{"", "one"}, {"", " two"}});
  expect("data: one\r\rdata: two\r\r", {{"", "one"}, {"", "two"}});
  expect("data: a\ndata: b\ndata:\ndata\n\n", {{"", "a\nb\n\n"}});
  expect("event: error\ndata: {}\n\ndata: x\n\n", {{"error", "{}"}, {"", "x"}});
  expect(
      "\xEF\xBB\xBF"
      "data: x\n\n",
      {{"", "x"}});
}

TEST(SseParser, SkipsWhatIsNoData) {
  expect(": keepalive\n\n:\n\n\n\nid: 7\nretry: 10\nother: x\n\ndata: x\n: in between\n\n",
         {{"", "x"}});
  expect("data: never ended", {});
  expect("event: lonely\n\ndata: x\n\n", {{"", "x"}});
}

TEST(SseParser, TakesTheFieldErrorForAnEvent) {
  expect("error: {\"code\":500}\n\n", {{"error", "{\"code\":500}"}});
}

TEST(SseParser, GivesTheLastEventWithoutItsBlankLine) {
  for (const std::string_view text : {"data: x\n\ndata: [DONE]\n", "data: x\n\ndata: [DONE]"})
    EXPECT_EQ(parse(text, 3, /*last=*/true), (Events{{"", "x"}, {"", "[DONE]"}}));
  EXPECT_EQ(parse("data: x\n\n: c", 2, /*last=*/true), (Events{{"", "x"}}));
}

TEST(SseParser, RefusesAnEventOverTheLimit) {
  for (const size_t step : {size_t{1}, size_t{7}, size_t{1000}}) {
    SseParser parser(/*max_event=*/20);
    const std::string text = "data: x\n\ndata: 0123456789\ndata: 0123456789\n\ndata: y\n\n";
    int events = 0;
    for (size_t at = 0; at < text.size(); at += step) {
      parser.feed(std::string_view(text).substr(at, step));
      while (parser.next()) ++events;
    }
    EXPECT_EQ(events, 1) << step;
    EXPECT_TRUE(parser.too_large()) << step;
    EXPECT_FALSE(parser.last());
  }
  SseParser endless(/*max_event=*/20);
  endless.feed("data: 01234567890123456789");
  EXPECT_FALSE(endless.next());
  EXPECT_TRUE(endless.too_large());
}

TEST(SseParser, KnowsThatAnEventHasBegun) {
  SseParser parser;
  EXPECT_FALSE(parser.pending());
  parser.feed("data: x");
  EXPECT_FALSE(parser.next());
  EXPECT_TRUE(parser.pending());
  parser.feed("\n");
  EXPECT_FALSE(parser.next());
  EXPECT_TRUE(parser.pending());
  parser.feed("\n");
  EXPECT_TRUE(parser.next());
  EXPECT_FALSE(parser.pending());
}

}  // namespace
}  // namespace mica

#include "server/watchdog.h"

#include <gtest/gtest.h>

#include "server/access_log.h"
#include "server/decode_window.h"
#include "server/prometheus.h"

namespace mica {
namespace {

using std::chrono::seconds;
using Change = Watchdog::Change;

const Watchdog::Clock::time_point kStart{seconds(1000)};

// At second `time`: `running` requests, step `step` is running or has ended at second `since`.
Change look(Watchdog& watchdog, int time, int32_t running, uint64_t step, int since) {
  EngineStats stats;
  stats.running = running;
  return watchdog.update(stats,
                         {.step = step, .since = kStart + seconds(since), .running = running > 0},
                         kStart + seconds(time));
}

TEST(Watchdog, CountsOnlyTimeWithWork) {
  Watchdog watchdog(seconds(10));
  EXPECT_EQ(look(watchdog, 0, 0, 0, 0), Change::kNone);
  EXPECT_EQ(look(watchdog, 100, 0, 0, 0), Change::kNone);  // idle
  EXPECT_EQ(look(watchdog, 101, 1, 0, 0), Change::kNone);
  EXPECT_EQ(look(watchdog, 110, 1, 0, 0), Change::kNone);
  EXPECT_EQ(look(watchdog, 111, 1, 1, 110), Change::kNone);  // a step began
  EXPECT_EQ(look(watchdog, 120, 1, 1, 110), Change::kNone);
  EXPECT_FALSE(watchdog.stuck());
  EXPECT_EQ(look(watchdog, 121, 1, 1, 110), Change::kStuck);
  EXPECT_TRUE(watchdog.stuck());
  EXPECT_EQ(look(watchdog, 122, 1, 1, 110), Change::kNone);
  EXPECT_EQ(look(watchdog, 123, 1, 1, 122), Change::kMovesAgain);  // it ended
  EXPECT_FALSE(watchdog.stuck());
  EXPECT_EQ(watchdog.times_stuck(), 1U);
}

// What the engine was called for is in no request's count.
TEST(Watchdog, SeesAStepWithoutRequests) {
  Watchdog watchdog(seconds(10));
  const auto look_at_call = [&](int time, bool running, int since) {
    return watchdog.update({}, {.step = 1, .since = kStart + seconds(since), .running = running},
                           kStart + seconds(time));
  };
  EXPECT_EQ(look_at_call(0, true, 0), Change::kNone);
  EXPECT_EQ(look_at_call(9, true, 0), Change::kNone);
  EXPECT_EQ(look_at_call(10, true, 0), Change::kStuck);
  EXPECT_EQ(look_at_call(12, false, 11), Change::kMovesAgain);
  EXPECT_EQ(look_at_call(100, false, 11), Change::kNone);
}

TEST(Watchdog, ZeroMeansNever) {
  Watchdog watchdog(seconds(0));
  look(watchdog, 0, 1, 1, 0);
  EXPECT_EQ(look(watchdog, 100000, 1, 1, 0), Change::kNone);
}

TEST(DecodeWindow, IsAboutTheLastSeconds) {
  DecodeWindow window;
  EXPECT_EQ(window.rate().step_seconds, 0);
  EngineStats stats;
  stats.decode_steps = 1000000;  // long ago, slow
  stats.decode_seconds = 1e6;
  window.add(stats);
  for (int i = 0; i < 20; ++i) {
    stats.decode_steps += 100;
    stats.decode_seconds += 0.5;
    stats.decode_bytes += 1e11;
    window.add(stats);
  }
  EXPECT_DOUBLE_EQ(window.rate().step_seconds, 0.005);
  EXPECT_DOUBLE_EQ(window.rate().bytes_per_second, 2e11);
}

TEST(Prometheus, EscapesAndNumbers) {
  PrometheusText text(PrometheusText::Labels{{"m", "a\"b\\c\nd"}});
  text.counter("x_total", "Back\\slash.", 12345678901234);
  text.family("y", "gauge", "Y.");
  text.sample("y", {{"k", "v"}}, 0.25);
  EXPECT_EQ(text.take(),
            "# HELP x_total Back\\\\slash.\n# TYPE x_total counter\n"
            "x_total{m=\"a\\\"b\\\\c\\nd\"} 12345678901234\n"
            "# HELP y Y.\n# TYPE y gauge\ny{m=\"a\\\"b\\\\c\\nd\",k=\"v\"} 0.25\n");
  PrometheusText plain(PrometheusText::Labels{});
  const double bounds[] = {0.1, 1};
  Histogram histogram(bounds);
  for (const double value : {0.05, 0.1, 0.5, 3.0}) histogram.observe(value);
  plain.histogram("h", "H.", histogram);
  EXPECT_EQ(plain.take(),
            "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"0.1\"} 2\nh_bucket{le=\"1\"} 3\n"
            "h_bucket{le=\"+Inf\"} 4\nh_sum 3.65\nh_count 4\n");
}

TEST(AccessLog, HasTheNumbersOfACompletion) {
  RequestRecord record;
  record.id = "req-1";
  record.peer = "127.0.0.1";
  record.method = "POST";
  record.route = "/v1/completions";
  record.status = 200;
  record.complete = true;
  record.answers = 1;
  record.prompt_tokens = 7;
  record.completion_tokens = 3;
  record.first_token_seconds = 0.0125;
  record.finish_reason = "length";
  const AccessLine line = access_line(record);
  EXPECT_EQ(line.text.rfind("[access] req-1 127.0.0.1 POST /v1/completions 200 ", 0), 0U);
  EXPECT_NE(line.text.find("0 of 7 prompt tokens cached, 3 tokens, first after 12.5 ms: length"),
            std::string::npos)
      << line.text;
  EXPECT_NE(line.fields.find("\"first_token_ms\":12.5,\"finish_reason\":\"length\""),
            std::string::npos)
      << line.fields;
  EXPECT_EQ(line.fields.front(), '"');
}

}  // namespace
}  // namespace mica

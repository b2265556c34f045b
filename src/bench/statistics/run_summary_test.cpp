#include "bench/statistics/run_summary.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/statistics/metric.h"
#include "bench_records.h"

namespace mica {
namespace {

TEST(RequestMetrics, OfAKnownStream) {
  const RequestSample r = streamed(
      0, {.sent = 2, .ttft = 0.25, .gap = 0.02, .tail = 0.005, .prompt = 500, .tokens = 51});
  EXPECT_NEAR(*value_of("ttfr", r), 0.249, 1e-12);
  EXPECT_NEAR(*value_of("ttft", r), 0.25, 1e-12);
  EXPECT_NEAR(*value_of("ttfo", r), 0.25, 1e-12);
  EXPECT_NEAR(*value_of("e2e", r), 0.25 + 50 * 0.02 + 0.005, 1e-12);
  EXPECT_NEAR(*value_of("tpot", r), (50 * 0.02 + 0.005) / 50, 1e-12);
  EXPECT_NEAR(*value_of("decode_rate", r), 50, 1e-9);
  EXPECT_NEAR(*value_of("prefill_rate", r), 2000, 1e-9);
  EXPECT_NEAR(*value_of("tokens_per_chunk", r), 1, 1e-12);
  EXPECT_FALSE(value_of("delay", r));
  std::vector<double> gaps;
  find_request_metric("itl")->append(r, gaps);
  ASSERT_EQ(gaps.size(), 50u);  // the role's chunk and the usage's are none
  EXPECT_NEAR(gaps[7], 0.02, 1e-12);
}

TEST(RequestMetrics, ReasoningIsATokenAndNoAnswer) {
  RequestSample r = streamed(0, {.tokens = 5});
  r.chunks[1].kind = r.chunks[2].kind = ChunkKind::kReasoning;
  r.first_answer = r.chunks[3].time;
  EXPECT_NEAR(*value_of("ttft", r), 0.1, 1e-12);
  EXPECT_NEAR(*value_of("ttfo", r), 0.12, 1e-12);
  std::vector<double> gaps;
  find_request_metric("itl")->append(r, gaps);
  EXPECT_EQ(gaps.size(), 4u);
}

TEST(RequestMetrics, CachedTokensAreNotPrefilled) {
  RequestSample r = streamed(0, {.ttft = 0.1, .prompt = 1000});
  r.cached_tokens = 900;
  EXPECT_NEAR(*value_of("prefill_rate", r), 1000, 1e-9);
}

TEST(RequestMetrics, WhatARecordCannotSayIsMissing) {
  RequestSample one = streamed(0, {.tokens = 1});
  EXPECT_FALSE(value_of("tpot", one));
  EXPECT_FALSE(value_of("decode_rate", one));
  EXPECT_TRUE(value_of("ttft", one));
  RequestSample whole = one;  // not streamed
  whole.chunks.clear();
  whole.first_response = whole.first_token = whole.first_answer = whole.last_token =
      RequestSample::kNever;
  whole.prompt_tokens = RequestSample::kUnknown;
  for (const char* metric : {"ttft", "ttfr", "tpot", "decode_rate", "prefill_rate"})
    EXPECT_FALSE(value_of(metric, whole)) << metric;
  EXPECT_TRUE(value_of("e2e", whole));
}

TEST(RequestMetrics, SeveralTokensAChunk) {
  RequestSample r = streamed(0, {.tokens = 10});
  r.completion_tokens = 30;
  EXPECT_NEAR(*value_of("tokens_per_chunk", r), 3, 1e-12);
  EXPECT_NEAR(*value_of("tpot", r), 0.09 / 29, 1e-12);
}

// The first and the last chunk are batches of their own: no time lies between the tokens.
TEST(RequestMetrics, TokensInOneOrTwoChunksHaveNoTimeBetweenThem) {
  for (const int chunks : {1, 2}) {
    RequestSample r = streamed(0, {.tokens = chunks});
    r.completion_tokens = 8;
    EXPECT_FALSE(value_of("tpot", r)) << chunks;
    EXPECT_FALSE(value_of("decode_rate", r)) << chunks;
    EXPECT_TRUE(value_of("ttft", r));
  }
  RequestSample pair = streamed(0, {.tokens = 2});
  pair.completion_tokens = 2;  // one a chunk
  EXPECT_TRUE(value_of("tpot", pair));
}

TEST(RunSummary, OfAKnownRun) {
  // Four streams of 0.2 s and 11 tokens, two at a time.
  std::vector<RequestSample> records;
  for (int i = 0; i < 4; ++i)
    records.push_back(streamed(i + 1, {.sent = 10 + 0.2 * (i / 2), .ttft = 0.1, .gap = 0.01}));
  RequestSample warm = streamed(0, {.sent = 1, .ttft = 5});
  warm.warmup = true;
  records.push_back(warm);
  const RunSummary s = summarize(records);
  EXPECT_EQ(s.requests, 4);
  EXPECT_EQ(s.warmup, 1);
  EXPECT_EQ(s.finished, 4);
  EXPECT_NEAR(s.begin, 10, 1e-12);
  EXPECT_NEAR(s.duration(), 0.4, 1e-9);
  EXPECT_EQ(s.output_tokens, 44);
  EXPECT_NEAR(*s.rate("output_throughput"), 110, 1e-6);
  EXPECT_NEAR(*s.rate("total_throughput"), 1110, 1e-6);
  EXPECT_NEAR(*s.rate("request_throughput"), 10, 1e-6);
  EXPECT_EQ(*s.rate("peak_concurrency"), 2);  // one that ends makes room for the next
  EXPECT_NEAR(*s.rate("mean_concurrency"), 2, 1e-6);
  EXPECT_EQ(*s.rate("error_rate"), 0);
  EXPECT_FALSE(s.rate("goodput"));
  EXPECT_NEAR(s.figure("ttft")->median, 0.1, 1e-12);
  EXPECT_EQ(s.figure("itl")->count, 40);
  EXPECT_FALSE(s.figure("itl")->median_interval);  // gaps of one request depend on each other
  EXPECT_TRUE(s.figure("ttft")->median_interval);
  EXPECT_FALSE(s.figure("delay"));
}

TEST(RunSummary, SlicesAddUpToTheThroughput) {
  const RunSummary s = summarize(steady_run(50, {.gap = 0.013, .tokens = 37}));
  double sum = 0;
  for (const double rate : s.output_slices) sum += rate;
  EXPECT_NEAR(sum / static_cast<double>(s.output_slices.size()), *s.rate("output_throughput"),
              1e-6);
  EXPECT_LE(s.output_throughput_interval->low, *s.rate("output_throughput"));
  EXPECT_GE(s.output_throughput_interval->high, *s.rate("output_throughput"));
}

TEST(RunSummary, FailuresCountAsErrorsOnly) {
  std::vector<RequestSample> records = steady_run(3);
  records.push_back(failed(3, 0.1, RequestStatus::kTimeout));
  records.push_back(failed(4, 0.2, RequestStatus::kHttpError));
  records.push_back(failed(5, 0.3, RequestStatus::kTimeout));
  const RunSummary s = summarize(records);
  EXPECT_EQ(*s.rate("error_rate"), 0.5);
  EXPECT_EQ(s.figure("e2e")->count, 3);
  const std::vector<std::pair<std::string, int64_t>> statuses = {
      {"ok", 3}, {"http_error", 1}, {"timeout", 2}};
  EXPECT_EQ(s.statuses, statuses);
}

TEST(RunSummary, OfNothing) {
  for (const std::vector<RequestSample>& records :
       {std::vector<RequestSample>{}, {failed(0, 0, RequestStatus::kRefused)}, {RequestSample{}}}) {
    const RunSummary s = summarize(records, {.limits = parse_limits("ttft:1")});
    EXPECT_EQ(s.finished, 0);
    EXPECT_TRUE(s.figures.empty());
    EXPECT_EQ(*s.rate("output_throughput"), 0);
    EXPECT_EQ(s.goodput->good, 0);
    EXPECT_FALSE(s.goodput->met);
  }
}

TEST(RunSummary, OpenLoopsBeginWhenTheFirstRequestIsDue) {
  std::vector<RequestSample> records = steady_run(2, {.sent = 1});
  records[0].due = 0.5;
  records[1].due = 0.7;
  const RunSummary s = summarize(records);
  EXPECT_EQ(s.begin, 0.5);
  EXPECT_NEAR(s.figure("delay")->max, records[1].sent - 0.7, 1e-12);
}

TEST(Goodput, LimitsAndPresets) {
  const LatencyLimits limits = parse_limits("ttft:2000, tpot:100 e2el:30000");
  EXPECT_EQ(*limits.ttft, 2);
  EXPECT_EQ(*limits.tpot, 0.1);
  EXPECT_EQ(*limits.e2e, 30);
  EXPECT_EQ(to_string(limits), "ttft 2000 ms, tpot 100 ms, e2e 30000 ms");
  const LatencyLimits preset = parse_limits("llama-3.1-405b-interactive");
  for (const LatencyLimits& each : {limits, preset})
    EXPECT_EQ(to_string(parse_limits(to_flag(each))), to_string(each));
  EXPECT_EQ(to_flag({}), "");
  EXPECT_EQ(*preset.ttft, 4.5);
  EXPECT_EQ(*preset.tpot, 0.08);
  EXPECT_EQ(to_string(preset), "llama-3.1-405b-interactive (ttft 4500 ms, tpot 80 ms)");
  EXPECT_EQ(limit_presets().size(), 10u);
  for (const char* text :
       {"", "ttft", "ttft:", "ttft:x", "ttft:-1", "ttft:0", "ttft:nan", "ttft:1ms", "itl:3", "gpt"})
    EXPECT_THROW(parse_limits(text), Error) << text;
}

TEST(Goodput, CountsWhatKeepsEveryLimit) {
  std::vector<RequestSample> records;
  for (int i = 0; i < 100; ++i)  // one of them is slow to begin, one to go on
    records.push_back(
        streamed(i, {.sent = 0.1 * i, .ttft = i == 5 ? 0.6 : 0.1, .gap = i == 9 ? 0.06 : 0.01}));
  const LatencyLimits limits = parse_limits("ttft:500,tpot:50");
  const Goodput all = measure_goodput(records, limits, 10);
  EXPECT_EQ(all.good, 98);
  EXPECT_NEAR(all.rate, 9.8, 1e-12);
  EXPECT_NEAR(all.share, 0.98, 1e-12);
  EXPECT_TRUE(all.met);  // 99 % keep each of the two
  records[7] = failed(7, 0.7, RequestStatus::kDropped);
  const Goodput broken = measure_goodput(records, limits, 10);
  EXPECT_EQ(broken.good, 97);
  EXPECT_FALSE(broken.met);
}

TEST(Goodput, OneTokenHasNoTimePerToken) {
  EXPECT_TRUE(is_good(streamed(0, {.tokens = 1}), parse_limits("tpot:1")));
}

}  // namespace
}  // namespace mica

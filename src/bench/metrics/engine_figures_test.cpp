#include "bench/metrics/engine_figures.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "bench/metrics/cross_check.h"
#include "bench/metrics/prometheus_page.h"

namespace mica {
namespace {

std::string error_of(const std::string& page) {
  try {
    parse_prometheus(page);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(PrometheusPage, ReadsSamples) {
  const PrometheusPage page = parse_prometheus(
      "# HELP a text\n# TYPE a counter\na 1\n\n"
      "  b{x=\"1\",y=\"a\\\"b\\\\c\\nd\"} 2.5e+06 1395066363000\r\n"
      "c{} +Inf\nd{x=\"\",} NaN\n"
      "e_total{x = \"}\" , y=\",\"} -3 # {trace=\"1\"} 0.5\n# EOF");
  ASSERT_EQ(page.samples.size(), 5u);
  EXPECT_EQ(page.samples[0].value, 1);
  EXPECT_EQ(page.samples[1].value, 2.5e6);
  EXPECT_EQ(*page.samples[1].label("y"), "a\"b\\c\nd");
  EXPECT_EQ(page.samples[1].label("z"), nullptr);
  EXPECT_TRUE(std::isinf(page.samples[2].value));
  EXPECT_TRUE(std::isnan(page.samples[3].value));
  EXPECT_EQ(*page.samples[4].label("x"), "}");
  EXPECT_EQ(page.samples[4].value, -3);
  EXPECT_TRUE(parse_prometheus("").samples.empty());
}

TEST(PrometheusPage, AddsLabelSetsUp) {
  const PrometheusPage page = parse_prometheus("a{e=\"0\"} 1\na{e=\"1\"} 2\nb NaN\n");
  EXPECT_EQ(page.sum("a"), 3);
  EXPECT_EQ(page.largest("a"), 2);
  EXPECT_EQ(page.sum("b"), std::nullopt);
  EXPECT_TRUE(page.has("b"));
  EXPECT_EQ(page.sum("c"), std::nullopt);
}

TEST(PrometheusPage, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(error_of("a 1\n<html>\n"),
            "[metrics] line 2: expected a metric's name, found '<html>'");
  EXPECT_EQ(error_of("a x"), "[metrics] line 1: expected a number, found 'x'");
  EXPECT_EQ(error_of("a"), "[metrics] line 1: expected a number, found ''");
  EXPECT_NE(error_of("a{x=1} 1").find("quotes"), std::string::npos);
  EXPECT_NE(error_of("a{x=\"1} 1").find("the quote"), std::string::npos);
  EXPECT_NE(error_of("a{x=\"1\" y=\"2\"} 1").find("',' or '}'"), std::string::npos);
  EXPECT_NE(error_of("a{x} 1").find("'='"), std::string::npos);
  EXPECT_NE(error_of("{\"error\":1}"), "");
}

// Pages as the engines write them, cut to what is read and a little more.
constexpr const char* kVllm = R"(# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 1.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 1000.0
vllm:prefix_cache_queries_created{engine="0",model_name="m"} 1.7e+09
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 160.0
vllm:prompt_tokens_total{engine="0",model_name="m"} 600.0
vllm:prompt_tokens_total{engine="1",model_name="m"} 400.0
vllm:generation_tokens_total{engine="0",model_name="m"} 50.0
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 3.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 4.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="m"} 0.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 4.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"} 2.0
vllm:time_to_first_token_seconds_count{engine="1",model_name="m"} 4.0
vllm:time_to_first_token_seconds_sum{engine="1",model_name="m"} 4.0
vllm:time_per_output_token_seconds_count{engine="0",model_name="m"} 10.0
vllm:time_per_output_token_seconds_sum{engine="0",model_name="m"} 0.1
)";

TEST(EngineFigures, ReadsVllmOverAllLabelSets) {
  const EngineFigures figures = read_figures("vllm", kVllm);
  EXPECT_DOUBLE_EQ(*figures.first_token->mean(), 0.75);
  EXPECT_DOUBLE_EQ(*figures.inter_token->mean(), 0.01);  // the older name
  EXPECT_EQ(figures.requests, 7);
  EXPECT_EQ(figures.prompt_tokens, 1000);
  EXPECT_EQ(figures.cache_queries, 1000);
  EXPECT_EQ(figures.cache_hits, 160);
  EXPECT_EQ(figures.running, 3);
  EXPECT_EQ(figures.cache_used, 0.5);
  EXPECT_FALSE(figures.end_to_end);
  EXPECT_FALSE(figures.draft_tokens);
}

TEST(EngineFigures, ReadsSglang) {
  const EngineFigures figures =
      read_figures("sglang",
                   "sglang:prompt_tokens_total{tp_rank=\"0\"} 8.1e+06\n"
                   "sglang:cached_tokens_total{cache_source=\"device\"} 5\n"
                   "sglang:cached_tokens_total{cache_source=\"host\"} 6\n"
                   "sglang:time_to_first_token_seconds_sum{a=\"1\"} 3\n"
                   "sglang:time_to_first_token_seconds_count{a=\"1\"} 2\n"
                   "sglang:num_running_reqs 4\n");
  EXPECT_EQ(figures.prompt_tokens, 8.1e6);
  EXPECT_EQ(figures.cache_hits, 11);
  EXPECT_EQ(figures.cache_queries, 8.1e6);
  EXPECT_EQ(figures.first_token->mean(), 1.5);
  EXPECT_EQ(figures.running, 4);
}

TEST(EngineFigures, ReadsLlamaCpp) {
  const EngineFigures figures =
      read_figures("llamacpp",
                   "llamacpp:prompt_tokens_total 100\nllamacpp:prompt_seconds_total 0.5\n"
                   "llamacpp:tokens_predicted_total 40\nllamacpp:tokens_predicted_seconds_total 2\n"
                   "llamacpp:requests_processing 1\n");
  EXPECT_EQ(figures.computed_tokens, 100);
  EXPECT_FALSE(figures.prompt_tokens);
  EXPECT_EQ(figures.generated_tokens, 40);
  EXPECT_EQ(figures.prefill->sum, 0.5);
  EXPECT_EQ(figures.prefill->mean(), std::nullopt);
}

constexpr const char* kSteps = R"( [
  {"iter": 5, "iterLatencyMS": 12.5, "numActiveRequests": 2, "numQueuedRequests": 1,
   "inflightBatchingStats": {"numCtxTokens": 100, "numGenRequests": 0},
   "kvCacheStats": {"maxNumBlocks": 10, "usedNumBlocks": 2, "tokensPerBlock": 32,
                    "reusedBlocks": 1, "missedBlocks": 3}},
  {"iter": 6, "iterLatencyMS": 2.5, "numActiveRequests": 2, "numQueuedRequests": 0,
   "inflightBatchingStats": {"numCtxTokens": 0, "numGenRequests": 2},
   "kvCacheStats": {"maxNumBlocks": 10, "usedNumBlocks": 4, "tokensPerBlock": 32,
                    "reusedBlocks": 2, "missedBlocks": 4}}])";

TEST(EngineFigures, ReadsTheStepsOfTensorRtLlm) {
  const EngineFigures figures = read_figures("trtllm", kSteps);
  EXPECT_TRUE(figures.drained);
  EXPECT_EQ(figures.computed_tokens, 100);
  EXPECT_EQ(figures.generated_tokens, 2);
  EXPECT_EQ(figures.cache_hits, 64);
  EXPECT_EQ(figures.cache_queries, 192);
  EXPECT_EQ(figures.cache_used, 0.4);
  EXPECT_EQ(figures.waiting, 0);
  // Reading took the steps away: the tokens are those of this time, the blocks count from the
  // start.
  const FigureDifference both = difference(figures, figures);
  EXPECT_EQ(both.figures.generated_tokens, 2);
  EXPECT_EQ(both.figures.cache_hits, 0);
  EXPECT_FALSE(read_figures("trtllm", "[]").generated_tokens);
}

TEST(EngineFigures, ReadsThePrometheusPageOfTensorRtLlm) {
  const EngineFigures figures =
      read_figures("trtllm",
                   "# TYPE trtllm_time_to_first_token_seconds histogram\n"
                   "trtllm_time_to_first_token_seconds_sum{engine_type=\"x\"} 3\n"
                   "trtllm_time_to_first_token_seconds_count{engine_type=\"x\"} 6\n");
  EXPECT_EQ(figures.first_token->mean(), 0.5);
}

TEST(EngineFigures, RefusesOtherPages) {
  EXPECT_THROW(read_figures("vllm", "sglang:num_running_reqs 1\n"), Error);
  EXPECT_THROW(read_figures("vllm", "<html>"), Error);
  EXPECT_THROW(read_figures("trtllm", "[{]"), Error);
  EXPECT_THROW(read_figures("ollama", kVllm), Error);
}

TEST(EngineFigures, SubtractsReadings) {
  const EngineFigures before = read_figures("vllm", kVllm);
  EngineFigures after = before;
  after.first_token = TimeTotal{8, 12};
  *after.generated_tokens += 30;
  after.draft_tokens = 9;  // not on the page before
  after.running = 0;
  const FigureDifference between = difference(before, after);
  EXPECT_TRUE(between.went_back.empty());
  EXPECT_DOUBLE_EQ(*between.figures.first_token->mean(), 0.5);
  EXPECT_EQ(between.figures.generated_tokens, 30);
  EXPECT_EQ(between.figures.draft_tokens, 9);
  EXPECT_EQ(between.figures.requests, 0);
  EXPECT_EQ(between.figures.running, 0);
  EXPECT_EQ(between.figures.inter_token->mean(), std::nullopt);

  const FigureDifference restarted = difference(after, before);
  EXPECT_EQ(restarted.went_back, (std::vector<std::string>{"generated tokens", "first token"}));
  EXPECT_FALSE(restarted.figures.generated_tokens);
}

RequestSample answered(double first_token) {
  RequestSample record;
  record.status = RequestStatus::kOk;
  record.sent = 1;
  record.first_token = 1 + first_token;
  record.prompt_tokens = 100;
  record.cached_tokens = 20;
  record.completion_tokens = 10;
  return record;
}

TEST(CrossCheck, IsSilentWhenBothAgree) {
  FigureDifference engine;
  engine.figures.requests = 2;
  engine.figures.prompt_tokens = 200;
  engine.figures.computed_tokens = 160;
  engine.figures.cache_hits = 40;
  engine.figures.generated_tokens = 20;
  engine.figures.first_token = TimeTotal{0.2, 2};
  const std::vector<RequestSample> records = {answered(0.1), answered(0.103)};
  EXPECT_TRUE(cross_check(engine, records).empty());
  EXPECT_TRUE(cross_check(FigureDifference(), records).empty());
}

TEST(CrossCheck, NamesEachDisagreement) {
  FigureDifference engine;
  engine.figures.requests = 3;
  engine.figures.prompt_tokens = 300;
  engine.figures.cache_hits = 0;
  engine.figures.generated_tokens = 30;
  engine.figures.first_token = TimeTotal{0.06, 3};
  const std::vector<RequestSample> records = {answered(0.1), answered(0.1)};
  const auto found = cross_check(engine, records);
  ASSERT_EQ(found.size(), 5u);
  for (const Disagreement& one : found) EXPECT_FALSE(one.gross) << one.text;
  EXPECT_NE(found[0].text.find("somebody else"), std::string::npos);
  EXPECT_EQ(found[1].text, "prompt tokens: the engine counts 300, its answers 200");
  EXPECT_NE(found[4].text.find("100.0 ms to the client and 20.0 ms"), std::string::npos);
  engine = FigureDifference();
  engine.went_back = {"requests"};
  EXPECT_EQ(cross_check(engine, records).size(), 1u);
}

TEST(CrossCheck, GrossIsOverHalfAsManyAgain) {
  FigureDifference engine;
  engine.figures.generated_tokens = 31;
  engine.figures.cache_hits = 200;  // counted in more than one way: never gross
  const auto found = cross_check(engine, std::vector<RequestSample>{answered(0.1), answered(0.1)});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_TRUE(found[0].gross);
  EXPECT_FALSE(found[1].gross);
}

TEST(CrossCheck, ComparesTheMeanOfLaterTokensWhereBothCountThem) {
  std::vector<RequestSample> records = {answered(0.1), answered(0.1)};
  for (RequestSample& record : records) record.ended = record.first_token + 0.9;  // 100 ms a token
  FigureDifference engine;
  engine.figures.inter_token = TimeTotal{0.9, 18};
  EXPECT_EQ(cross_check(engine, records).size(), 1u);
  engine.figures.inter_token = TimeTotal{0.9, 9};  // by step
  EXPECT_TRUE(cross_check(engine, records).empty());
}

TEST(EngineFigures, AreListedWithNamesAndUnits) {
  EngineFigures figures;
  figures.generated_tokens = 30;
  figures.first_token = TimeTotal{0.5, 10};
  figures.prefill = TimeTotal{2, 0};
  figures.decode = TimeTotal{0, 0};
  std::string text;
  for (const NamedFigure& figure : told_figures(figures))
    text += fmt::format("{} {} {}; ", figure.name, figure.value, figure.unit);
  EXPECT_EQ(text, "generated_tokens 30 tok; first_token_mean 0.05 s; prefill_sum 2 s; ");
}

}  // namespace
}  // namespace mica

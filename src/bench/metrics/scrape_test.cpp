// Pages of every dialect, as the scripted engine counts on them, beside what the client measured.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bench/client/fetch.h"
#include "bench/metrics/cross_check.h"
#include "fake_engine/ask.h"
#include "fake_engine/engine.h"

namespace mica {
namespace {

using fake::ask;
using fake::chat_request;

EngineFigures read(const fake::FakeEngine& engine, const std::string& dialect,
                   const std::string& path = "/metrics") {
  const RequestSample page = fetch({.url = engine.url()}, "GET", path);
  EXPECT_TRUE(page.ok()) << page.error;
  return read_figures(dialect, page.body);
}

std::string long_question(int number) {
  std::string text = "question " + std::to_string(number);
  for (int i = 0; i < 60; ++i) text += " word" + std::to_string(i);
  return text;
}

// Four requests, two of them with the same prompt.
std::vector<RequestSample> load(const fake::FakeEngine& engine) {
  Client client({.url = engine.url()});
  std::vector<RequestSample> records;
  for (const int question : {1, 2, 3, 1})
    records.push_back(ask(client, chat_request(8, long_question(question))));
  // How long a byte is on its way on a busy machine is nothing to test.
  for (RequestSample& record : records) record.first_token = RequestSample::kNever;
  return records;
}

class Scrape : public testing::TestWithParam<const char*> {
 protected:
  Scrape() : engine_(script()) { engine_.start(); }
  static fake::Script script() {
    fake::Script script = fake::read_script({{"dialect", GetParam()}});
    script.timing.first_token_ms = 10;
    script.timing.interval_ms = 1;
    script.answer.prefix_cache = true;
    script.engines = 2;
    return script;
  }
  fake::FakeEngine engine_;
};

TEST_P(Scrape, AgreesWithTheClient) {
  load(engine_);  // what came before is not counted
  const EngineFigures before = read(engine_, GetParam());
  fetch({.url = engine_.url()}, "POST", "/reset_prefix_cache");
  const std::vector<RequestSample> records = load(engine_);
  const FigureDifference between = difference(before, read(engine_, GetParam()));
  EXPECT_TRUE(between.went_back.empty());
  EXPECT_TRUE(cross_check(between, records).empty());
  EXPECT_EQ(between.figures.generated_tokens, 32);
  EXPECT_EQ(between.figures.running, 0);
  double prompt = 0, cached = 0;
  for (const RequestSample& record : records) {
    prompt += static_cast<double>(record.prompt_tokens);
    cached += static_cast<double>(record.cached_tokens);
  }
  EXPECT_GT(cached, 0);
  const EngineFigures& figures = between.figures;
  if (figures.prompt_tokens) {
    EXPECT_EQ(*figures.prompt_tokens, prompt);
  }
  if (figures.computed_tokens) {
    EXPECT_EQ(*figures.computed_tokens, prompt - cached);
  }
  if (figures.requests) {
    EXPECT_EQ(*figures.requests, 4);
  }
  if (figures.first_token) {
    EXPECT_EQ(figures.first_token->count, 4);
    EXPECT_GE(*figures.first_token->mean(), 0.01);
    EXPECT_EQ(figures.inter_token->count, 28);
  }
}

TEST_P(Scrape, NoticesAnotherClient) {
  const EngineFigures before = read(engine_, GetParam());
  std::vector<RequestSample> records = load(engine_);
  const EngineFigures after = read(engine_, GetParam());
  records.pop_back();  // somebody else's
  EXPECT_FALSE(cross_check(difference(before, after), records).empty());
}

INSTANTIATE_TEST_SUITE_P(Dialects, Scrape,
                         testing::Values("vllm", "mica", "sglang", "llamacpp", "trtllm"));

TEST(ScrapePages, TensorRtLlmHasAPrometheusPageToo) {
  fake::FakeEngine engine(fake::read_script({{"dialect", "trtllm"}}));
  engine.start();
  const EngineFigures before = read(engine, "trtllm", "/prometheus/metrics");
  const std::vector<RequestSample> records = load(engine);
  const FigureDifference between =
      difference(before, read(engine, "trtllm", "/prometheus/metrics"));
  EXPECT_EQ(between.figures.requests, 4);
  EXPECT_TRUE(cross_check(between, records).empty());
}

}  // namespace
}  // namespace mica

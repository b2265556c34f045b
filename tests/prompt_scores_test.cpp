// Scores of prompts on every backend: against the logits of the same tokens, and against what the
// engine reports when it generates them.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/prompt_scorer.h"
#include "engine/single.h"
#include "golden_model.h"
#include "test_devices.h"

namespace mica {
namespace {

using Scores = std::vector<SampleResult>;

struct Case {
  ModelDevice device;
  const char* golden;
  int32_t kv_bits = 0;
};

class PromptScores : public testing::TestWithParam<Case> {
 protected:
  PromptScores()
      : golden(read_golden(source_path("tests/golden/models") /
                           (std::string(GetParam().golden) + ".json"))),
        backend(make_backend({.device = GetParam().device.name,
                              .threads = 2,
                              .deterministic = GetParam().device.deterministic})),
        model(load_golden(golden, *backend)) {
    options.kv_bytes = size_t{1} << 20;
    options.max_batch_sequences = 4;
    options.kv_quant.bits = GetParam().kv_bits;
    engine = std::make_unique<Engine>(*backend, *model, options);
  }
  Scores score(const std::vector<int32_t>& tokens, int32_t piece, int32_t top = 3) {
    PromptScorer scorer(*backend, *model, *engine,
                        {.piece_tokens = piece, .kv_quant = options.kv_quant});
    return scorer.score({{tokens}}, top)[0];
  }

  Golden golden;
  EngineOptions options;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
  std::unique_ptr<Engine> engine;
};

double logprob(std::span<const float> logits, int32_t token) {
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit});
  return double{logits[static_cast<size_t>(token)]} - std::log(sum);
}

// `tolerance` 0: the same bits.
void expect_same(const SampleResult& found, const SampleResult& wanted, double tolerance) {
  EXPECT_EQ(found.token, wanted.token);
  EXPECT_NEAR(found.logprob, wanted.logprob, tolerance);
  ASSERT_EQ(found.top.size(), wanted.top.size());
  for (size_t t = 0; t < found.top.size(); ++t) {
    EXPECT_NEAR(found.top[t].logprob, wanted.top[t].logprob, tolerance);
    if (tolerance == 0) {
      EXPECT_EQ(found.top[t].token, wanted.top[t].token);
    }
  }
}

// Between runs whose batches differ, where those change the bits.
double between_batches(const Case& test, const Golden& golden) {
  if (test.device.keeps_bits()) return 0;
  return golden.dtype == DType::kF32 ? 1e-3 : 0.2;
}

TEST_P(PromptScores, AreTheLogitsOfTheSamePieces) {
  const auto width = static_cast<size_t>(model->config().vocab_size);
  const std::vector<int32_t>& tokens = golden.tokens;
  const Scores whole = score(tokens, 512);
  ASSERT_EQ(whole.size() + 1, tokens.size());
  for (const int32_t piece : {512, 5, 1}) {
    SCOPED_TRACE(piece);
    const Scores scores = score(tokens, piece);
    ASSERT_EQ(scores.size(), whole.size());
    const std::vector<float> logits = all_logits(
        *backend, *model, std::span(tokens).first(scores.size()), piece, options.kv_quant);
    for (size_t i = 0; i < scores.size(); ++i) {
      SCOPED_TRACE(i);
      const auto row = std::span(logits).subspan(i * width, width);
      EXPECT_EQ(scores[i].token, tokens[i + 1]);
      EXPECT_NEAR(scores[i].logprob, logprob(row, tokens[i + 1]), 1e-4);
      for (const TokenLogprob& top : scores[i].top)
        EXPECT_NEAR(top.logprob, logprob(row, top.token), 1e-4);
      expect_same(scores[i], whole[i], between_batches(GetParam(), golden));
    }
  }
}

// Greedy: so a token that leads has the log-probability of the first alternative, to the bit.
TEST_P(PromptScores, AreWhatGeneratedTokensReport) {
  Request request;
  request.prompt = golden.tokens;
  request.max_tokens = 12;
  request.top_logprobs = 3;
  const auto events = engine->submit(request);
  std::vector<int32_t> tokens = request.prompt;
  Scores generated;
  while (const auto event = events->next(std::chrono::seconds(120))) {
    if (event->kind == Event::Kind::kFinished) break;
    if (event->kind != Event::Kind::kToken) continue;
    generated.push_back(event->token);
    tokens.push_back(event->token.token);
  }
  ASSERT_EQ(generated.size(), 12u);
  const Scores scores = score(tokens, 7);
  ASSERT_EQ(scores.size() + 1, tokens.size());
  for (size_t i = 0; i < generated.size(); ++i) {
    SCOPED_TRACE(i);
    const SampleResult& found = scores[request.prompt.size() - 1 + i];
    expect_same(found, generated[i], between_batches(GetParam(), golden));
    if (found.top[0].token == found.token) {
      EXPECT_EQ(found.top[0].logprob, found.logprob);
    }
  }
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const ModelDevice& device : model_devices()) {
    for (const char* golden : {"llama-affine4g64", "qwen3-bf16", "mistral_window"})
      cases.push_back({device, golden});
    cases.push_back({device, "llama-affine4g64", 8});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, PromptScores, testing::ValuesIn(all_cases()), [](const auto& info) {
  return case_name(info.param.device,
                   info.param.golden + std::string(info.param.kv_bits > 0 ? "_kv8" : ""));
});

}  // namespace
}  // namespace mica

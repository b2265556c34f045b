// Guesses change the speed of answers and nothing else.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>

#include "engine/engine.h"
#include "engine/fake_model.h"

namespace mica {
namespace {

using fake::Answer;
using fake::collect;
using fake::expected_answer;
using fake::FakeBackend;
using fake::FakeConstraint;
using fake::FakeModel;
using fake::FakeOptions;

// Requests of every kind; number i has constraint i where it has one.
std::vector<Request> mixed_requests(uint32_t seed, int32_t count) {
  std::mt19937 random(seed);
  const auto pick = [&](uint32_t n) { return static_cast<int32_t>(random() % n); };
  std::vector<int32_t> common(70);
  for (int32_t& token : common) token = pick(61);
  std::vector<Request> requests;
  for (int32_t i = 0; i < count; ++i) {
    Request request;
    if (pick(2) == 0) request.prompt = common;
    for (int32_t n = 1 + pick(60); n > 0; --n) request.prompt.push_back(pick(61));
    request.max_tokens = 1 + pick(60);
    request.sampling.temperature = pick(2) == 0 ? 0.0f : 0.5f;
    request.sampling.seed = static_cast<uint64_t>(pick(5));
    if (pick(3) == 0) request.sampling.repetition_penalty = 1.5f;
    if (pick(2) == 0) request.stop_token_ids = {pick(61), 7};
    if (pick(4) == 0) request.min_tokens = std::min(request.max_tokens, 10);
    request.use_prefix_cache = pick(8) != 0;
    request.speculate = pick(8) != 0;
    request.top_logprobs = pick(3);
    if (pick(3) == 0) request.constraint = std::make_shared<FakeConstraint>(i);
    requests.push_back(std::move(request));
  }
  return requests;
}

void renew_constraints(std::vector<Request>& requests) {
  for (size_t i = 0; i < requests.size(); ++i)
    if (requests[i].constraint) requests[i].constraint = std::make_shared<FakeConstraint>(i);
}

std::vector<int32_t> expected(const Request& request, size_t index, const FakeOptions& options) {
  FakeConstraint constraint(index);
  return expected_answer(request, options, request.constraint ? &constraint : nullptr);
}

struct Setting {
  const char* what;
  FakeOptions model;
  int32_t wrong = -1;  // of the draft model; -1: none
  bool ngrams = false;
  int32_t block_size = 8, chunk = 512, draft_tokens = 3;
  size_t blocks = 0;
  bool cache = true;
  int64_t draft_vocabulary = 61;
};

std::ostream& operator<<(std::ostream& out, const Setting& setting) {
  return out << setting.what;
}

// Bytes of a token: 2 layers x K, V x 2 heads x 3 x i32, of both models.
size_t kv_for(const Setting& setting) {
  const size_t models = setting.wrong >= 0 ? 2 : 1;
  return setting.blocks * static_cast<size_t>(setting.block_size) * 2 * 2 * 2 * 3 * 4 * models;
}

EngineOptions options_of(const Setting& setting, Model& draft) {
  EngineOptions options;
  options.block_size = setting.block_size;
  options.prefill_step_tokens = setting.chunk;
  options.max_batch_sequences = 8;
  options.prefix_cache = setting.cache;
  options.kv_bytes = kv_for(setting);
  options.max_context = 300;
  options.speculation.ngrams = setting.ngrams;
  options.speculation.ngram_least = 1;
  options.speculation.draft_tokens = setting.draft_tokens;
  if (setting.wrong >= 0) options.speculation.draft_model = &draft;
  return options;
}

FakeOptions draft_of(const Setting& setting) {
  FakeOptions options = setting.model;
  options.wrong = setting.wrong;
  options.vocabulary = setting.draft_vocabulary;
  return options;
}

class Speculation : public testing::TestWithParam<Setting> {};

TEST_P(Speculation, GivesTheSameTokens) {
  const Setting& setting = GetParam();
  FakeBackend backend;
  FakeModel model(setting.model), draft(draft_of(setting));
  std::vector<Request> requests = mixed_requests(21, 24);
  Engine engine(backend, model, options_of(setting, draft));
  uint64_t drafted = 0, accepted = 0, generated = 0;
  for (int round = 0; round < 3; ++round) {
    renew_constraints(requests);
    std::vector<std::shared_ptr<EventStream>> streams;
    for (const Request& request : requests) {
      streams.push_back(engine.submit(request));
      if (round == 0) collect(*engine.submit(Request{.prompt = {5}, .max_tokens = 2}));
    }
    for (size_t i = 0; i < streams.size(); ++i) {
      SCOPED_TRACE(i);
      const Answer answer = collect(*streams[i]);
      ASSERT_TRUE(answer.complete);
      EXPECT_EQ(answer.end.error, "");
      EXPECT_EQ(answer.tokens, expected(requests[i], i, setting.model));
      EXPECT_EQ(answer.end.completion_tokens, static_cast<int32_t>(answer.tokens.size()));
      EXPECT_LE(answer.end.accepted_draft_tokens, answer.end.draft_tokens);
      if (!requests[i].speculate) {
        EXPECT_EQ(answer.end.draft_tokens, 0);
      }
      for (const Event& event : answer.events) {
        const bool token = event.kind == Event::Kind::kToken;
        EXPECT_EQ(event.token.top.size(),
                  token ? static_cast<size_t>(requests[i].top_logprobs) : 0);
      }
      drafted += static_cast<uint64_t>(answer.end.draft_tokens);
      accepted += static_cast<uint64_t>(answer.end.accepted_draft_tokens);
      generated += answer.tokens.size();
    }
  }
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.failed, 0u);
  EXPECT_EQ(stats.draft_failures, 0u);
  EXPECT_EQ(stats.blocks_used, 0);
  EXPECT_GE(stats.draft_tokens, drafted);
  EXPECT_GE(stats.accepted_draft_tokens, accepted);
  EXPECT_GT(stats.draft_tokens, 0u);
  EXPECT_GT(stats.verify_steps, 0u);
  if (setting.wrong == 0 && setting.draft_vocabulary >= 61) {
    EXPECT_GT(accepted, generated / 8);
  }
  if (setting.model.markov) {
    EXPECT_GT(accepted, generated / 40);
  }
  if (setting.wrong == 100) {
    EXPECT_LT(drafted, generated) << "guessing that never pays was not switched off";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Settings, Speculation,
    testing::Values(
        Setting{.what = "perfect", .wrong = 0}, Setting{.what = "good", .wrong = 30},
        Setting{.what = "useless", .wrong = 100},
        Setting{.what = "perfect_no_cache", .wrong = 0, .cache = false},
        Setting{.what = "many_drafts", .wrong = 5, .draft_tokens = 17},
        Setting{.what = "chunk7", .wrong = 10, .chunk = 7},
        Setting{.what = "chunk1", .wrong = 10, .chunk = 1},
        Setting{.what = "blocks_of_one", .wrong = 10, .block_size = 1},
        Setting{.what = "tiny_pool", .wrong = 10, .blocks = 40},
        Setting{.what = "smaller_vocabulary", .wrong = 0, .draft_vocabulary = 60},
        Setting{.what = "larger_vocabulary", .wrong = 0, .draft_vocabulary = 100},
        Setting{.what = "ngrams", .ngrams = true},
        Setting{.what = "ngrams_markov", .model = {.markov = true}, .ngrams = true},
        Setting{
            .what = "ngrams_tiny_pool", .model = {.markov = true}, .ngrams = true, .blocks = 40},
        Setting{.what = "both", .model = {.markov = true}, .wrong = 20, .ngrams = true}),
    [](const auto& info) { return std::string(info.param.what); });

TEST(SpeculationSteps, PerfectGuessesSaveSteps) {
  FakeBackend backend;
  FakeModel model, draft;
  const Setting setting{.what = "", .wrong = 0};
  // Guesses are cheap, so that they always pay.
  model.on_forward = [](auto) { std::this_thread::sleep_for(std::chrono::milliseconds(3)); };
  Engine engine(backend, model, options_of(setting, draft));
  Request request{.prompt = {1, 2, 3}, .max_tokens = 200};
  const Answer answer = collect(*engine.submit(request));
  EXPECT_EQ(answer.tokens, expected_answer(request));
  EXPECT_LT(model.steps, 150);  // 4 tokens a step, some plain ones between
  EXPECT_GE(answer.end.accepted_draft_tokens, 60);
}

TEST(SpeculationSteps, AStepThatIsTooLargeRunsAgainWithoutDrafts) {
  FakeBackend backend;
  FakeModel model, draft;
  std::atomic<int> refused{0};
  model.on_forward = [&](std::span<const int32_t> ids) {
    if (ids.size() == 1) return;
    ++refused;
    throw Error(ErrorKind::kOutOfMemory, "[fake] no room for drafts");
  };
  Engine engine(backend, model, options_of({.what = "", .wrong = 0}, draft));
  Request request{.prompt = {1}, .max_tokens = 20};
  const Answer answer = collect(*engine.submit(request));
  EXPECT_EQ(answer.end.error, "");
  EXPECT_EQ(answer.tokens, expected_answer(request));
  EXPECT_GT(refused, 0);
}

TEST(SpeculationSteps, HybridModelsGoWithout) {
  FakeBackend backend;
  const FakeOptions hybrid{.hybrid = true};
  FakeModel model(hybrid), draft, recurrent_draft(hybrid);
  Setting setting{.what = "", .wrong = 0};
  Request request{.prompt = {1, 2, 3}, .max_tokens = 20};
  {
    Engine engine(backend, model, options_of(setting, draft));
    const Answer answer = collect(*engine.submit(request));
    EXPECT_EQ(answer.tokens, expected_answer(request, hybrid));
    EXPECT_EQ(answer.end.draft_tokens, 0);
  }
  FakeModel plain;
  EXPECT_THROW(Engine(backend, plain, options_of(setting, recurrent_draft)), Error);
}

// Homogeneity of the second and third tokens, drawn with guesses and, from other seeds, without:
// chi-square with 7 degrees of freedom passes 29.9 by chance once in 10000 times.
TEST(SpeculationDraws, FrequenciesAreThoseWithoutGuesses) {
  const FakeOptions small{.vocabulary = 8};
  FakeBackend backend;
  FakeModel model(small), draft({.vocabulary = 8, .wrong = 40});
  const Setting setting{.what = "", .wrong = 40, .draft_vocabulary = 8};
  Engine engine(backend, model, options_of(setting, draft));
  constexpr uint64_t kDraws = 3000;
  std::vector<std::vector<double>> seen[2];
  for (int speculate = 0; speculate < 2; ++speculate) {
    seen[speculate].assign(3, std::vector<double>(8));
    std::vector<std::shared_ptr<EventStream>> streams;
    for (uint64_t i = 0; i < kDraws; ++i) {
      Request request{.prompt = {1, 2}, .max_tokens = 6};
      request.sampling.temperature = 2;
      request.sampling.seed = i + (speculate == 1 ? kDraws : 0);
      request.speculate = speculate == 1;
      streams.push_back(engine.submit(request));
      if (streams.size() < 500) continue;
      for (const auto& stream : streams) {
        const Answer answer = collect(*stream);
        ASSERT_EQ(answer.tokens.size(), 6u);
        for (size_t at = 0; at < 3; ++at)
          ++seen[speculate][at][static_cast<size_t>(answer.tokens[at + 1])];
      }
      streams.clear();
    }
  }
  EXPECT_GT(engine.stats().accepted_draft_tokens, 1000u);
  for (size_t at = 0; at < 3; ++at) {
    double chi_square = 0;
    for (size_t t = 0; t < 8; ++t) {
      const double a = seen[0][at][t], b = seen[1][at][t];
      if (a + b > 0) chi_square += (a - b) * (a - b) / (a + b);
    }
    EXPECT_LT(chi_square, 29.9) << "token " << at + 1;
  }
}

}  // namespace
}  // namespace mica

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "backend_test.h"
#include "ops/sample/golden_cases.h"
#include "ops/sample/mask.h"
#include "ops/sample/random.h"
#include "tolerance.h"

namespace mica {
namespace {

// Known answers of Random123 (kat_vectors, philox4x32 of 10 rounds).
TEST(Philox, KnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

SampleResult sample_one(TestBackend& backend, const std::vector<float>& logits,
                        const SampleRow& row) {
  const Tensor tensor = backend.put(logits, {1, static_cast<int64_t>(logits.size())});
  SampleResult result;
  backend.ops().sample(*backend, {.logits = tensor, .rows = {&row, 1}, .results = {&result, 1}});
  return result;
}

// `count` draws, numbered from `first`, as rows of one call.
std::vector<int32_t> sample_many(TestBackend& backend, const std::vector<float>& logits,
                                 const SamplingParams& params, size_t count,
                                 std::span<const int32_t> history = {}, uint64_t first = 0) {
  std::vector<int32_t> tokens;
  constexpr size_t kRows = 100;
  for (size_t begin = 0; begin < count; begin += kRows) {
    const size_t n = std::min(kRows, count - begin);
    std::vector<float> all;
    std::vector<SampleRow> rows;
    for (size_t i = 0; i < n; ++i) {
      all.insert(all.end(), logits.begin(), logits.end());
      rows.push_back({.params = &params, .history = history, .draw = first + begin + i});
    }
    std::vector<SampleResult> results(n);
    TestBackend& b = backend;
    b.ops().sample(
        *b, {.logits = b.put(all, {static_cast<int64_t>(n), static_cast<int64_t>(logits.size())}),
             .rows = rows,
             .results = results});
    for (const SampleResult& result : results) tokens.push_back(result.token);
  }
  return tokens;
}

std::vector<BackendOptions> with_reference() {
  std::vector<BackendOptions> all = tested_backends();
  all.push_back({.device = "ref"});
  return all;
}

// A temperature at which every survivor is about as likely, and draws enough to see each of them.
TEST(Sample, SurvivorsAreThoseOfMlxLm) {
  for (const BackendOptions& options : with_reference())
    for (GoldenCase& c : golden_cases()) {
      SCOPED_TRACE(options.device + options.isa + " " + c.name);
      TestBackend backend(options);
      c.params.temperature = 50;
      const std::vector<int32_t> tokens = sample_many(backend, c.logits, c.params, 2500, c.history);
      EXPECT_EQ(std::set<int32_t>(tokens.begin(), tokens.end()),
                std::set<int32_t>(c.survivors.begin(), c.survivors.end()));
    }
}

TEST(Sample, LogprobsAreThoseOfMlxLm) {
  for (const BackendOptions& options : with_reference())
    for (const GoldenCase& c : golden_cases()) {
      SCOPED_TRACE(options.device + options.isa + " " + c.name);
      TestBackend backend(options);
      const auto vocabulary = static_cast<int32_t>(c.logits.size());
      const SampleResult result =
          sample_one(backend, c.logits, {&c.params, c.history, 0, vocabulary + 1});
      ASSERT_EQ(result.top.size(), c.logits.size());
      std::vector<float> logprobs(c.logits.size());
      for (size_t i = 0; i < result.top.size(); ++i) {
        logprobs[static_cast<size_t>(result.top[i].token)] = result.top[i].logprob;
        EXPECT_GE(result.top[i > 0 ? i - 1 : 0].logprob, result.top[i].logprob);
      }
      expect_close(logprobs, c.logprobs, DType::kF32);
      const auto best = std::max_element(c.logprobs.begin(), c.logprobs.end());
      EXPECT_EQ(result.token, best - c.logprobs.begin());  // temperature 0: no filters
      EXPECT_NEAR(result.logprob, *best, 1e-5);
    }
}

TEST(Sample, AgreesWithReferenceOnLargeVocabularies) {
  std::vector<SamplingParams> settings;
  for (float temperature : {0.0f, 0.7f, 1.5f})
    for (float top_p : {1.0f, 0.3f, 0.95f, 0.9999f})
      for (float min_p : {0.0f, 0.002f})
        for (int32_t top_k : {0, 3, 40, 1000})
          settings.push_back({.temperature = temperature,
                              .top_p = top_p,
                              .min_p = min_p,
                              .top_k = top_k,
                              .seed = settings.size()});
  for (size_t i = 0; i < settings.size(); i += 3) {
    settings[i].xtc_probability = 0.5f;
    settings[i].xtc_threshold = 0.01f;
    settings[i].repetition_penalty = 1.2f;
    settings[i].min_tokens_to_keep = i % 2 == 0 ? 1 : 60;
  }
  const std::vector<int32_t> history = {1, 5, 5, 7, 40000};
  for (int64_t vocabulary : {1, 255, 5003, 50021}) {
    std::vector<float> logits = random_values(vocabulary, 8, 3);
    for (size_t i = 0; i < logits.size(); i += 5) logits[i] = std::round(logits[i]);  // ties
    TestBackend ref({.device = "ref"});
    for (const BackendOptions& options : tested_backends()) {
      if (options.threads > 1) continue;
      TestBackend backend(options);
      for (size_t i = 0; i < settings.size(); ++i) {
        SCOPED_TRACE(fmt::format("{} vocabulary {} settings {}", options.isa, vocabulary, i));
        const SampleRow row{&settings[i], history, i, 20};
        const SampleResult found = sample_one(backend, logits, row);
        const SampleResult expected = sample_one(ref, logits, row);
        EXPECT_EQ(found.token, expected.token);
        EXPECT_NEAR(found.logprob, expected.logprob, 1e-5);
        ASSERT_EQ(found.top.size(), expected.top.size());
        for (size_t j = 0; j < found.top.size(); ++j) {
          EXPECT_EQ(found.top[j].token, expected.top[j].token);
          EXPECT_NEAR(found.top[j].logprob, expected.top[j].logprob, 1e-5);
        }
      }
    }
  }
}

// The same bits as among the alternatives, whatever the filters leave.
TEST(Sample, GivenTokensHaveTheLogprobsOfAlternatives) {
  for (const BackendOptions& options : with_reference()) {
    TestBackend backend(options);
    for (const float temperature : {0.0f, 0.8f})
      for (const int32_t vocabulary : {1, 60, 120}) {
        const std::vector<float> logits = random_values(vocabulary, 7, 3);
        const SamplingParams params{
            .temperature = temperature, .top_p = 0.5f, .top_k = 3, .logit_bias = {{0, 1.5f}}};
        const SampleResult all = sample_one(backend, logits, {&params, {}, 0, vocabulary});
        ASSERT_EQ(all.top.size(), static_cast<size_t>(vocabulary));
        for (const TokenLogprob& t : all.top) {
          const SampleRow row{
              .params = &params, .history = {}, .top_logprobs = 2, .given = t.token};
          const SampleResult result = sample_one(backend, logits, row);
          EXPECT_EQ(result.token, t.token);
          EXPECT_EQ(result.logprob, t.logprob);
          EXPECT_EQ(result.top[0].token, all.top[0].token);
        }
      }
  }
}

TEST(Sample, TiesGoToTheLowerId) {
  const std::vector<float> logits = {1, 3, 2, 3, 3};
  const SamplingParams greedy, two{.temperature = 1, .top_k = 2};
  for (const BackendOptions& options : with_reference()) {
    TestBackend backend(options);
    const SampleResult result = sample_one(backend, logits, {&greedy, {}, 0, 4});
    EXPECT_EQ(result.token, 1);
    std::vector<int32_t> top;
    for (const TokenLogprob& alternative : result.top) top.push_back(alternative.token);
    EXPECT_EQ(top, (std::vector<int32_t>{1, 3, 4, 2}));
    for (int32_t token : sample_many(backend, logits, two, 50))
      EXPECT_TRUE(token == 1 || token == 3);
  }
}

TEST(Sample, FlatLogitsKeepAllThatTie) {
  const std::vector<float> logits(5000, 0.5f);
  const SamplingParams params{.temperature = 1, .top_p = 0.5f};
  for (const BackendOptions& options : with_reference()) {
    TestBackend backend(options);
    const std::vector<int32_t> tokens = sample_many(backend, logits, params, 200);
    EXPECT_GT(*std::max_element(tokens.begin(), tokens.end()), 4000);
  }
}

// Chi-square over 40000 draws from softmax(logits / 0.8) with 9 degrees of freedom: 33.7 is passed
// by chance once in 10000 seeds.
TEST(Sample, FrequenciesFollowTheProbabilities) {
  const std::vector<float> logits = {0, 1, 2, -1, 0.5f, 1.5f, 2.5f, -2, 0.25f, 1.75f};
  const SamplingParams params{.temperature = 0.8f, .seed = 42};
  constexpr size_t kDraws = 40000;
  TestBackend backend({.device = "cpu"});
  std::vector<double> seen(logits.size());
  for (int32_t token : sample_many(backend, logits, params, kDraws))
    seen[static_cast<size_t>(token)] += 1;
  double sum = 0, chi_square = 0;
  for (float logit : logits) sum += std::exp(logit / 0.8);
  for (size_t i = 0; i < logits.size(); ++i) {
    const double expected = kDraws * std::exp(logits[i] / 0.8) / sum;
    chi_square += (seen[i] - expected) * (seen[i] - expected) / expected;
  }
  EXPECT_LT(chi_square, 33.7);
}

TEST(Sample, XtcHappensAsOftenAsAsked) {
  const std::vector<float> logits = {3, 2, 0};  // XTC removes token 0
  const SamplingParams params{.temperature = 0.01f, .xtc_probability = 0.25f, .seed = 7};
  for (const char* device : {"ref", "cpu"}) {
    TestBackend backend({.device = device});
    const std::vector<int32_t> tokens = sample_many(backend, logits, params, 4000);
    EXPECT_NEAR(static_cast<double>(std::count(tokens.begin(), tokens.end(), 1)), 1000, 100);
  }
}

// Draws depend on (seed, draw) alone: not on the row, the batch, threads or instruction set.
TEST(Sample, DrawsAreReproducible) {
  const std::vector<float> logits = random_values(3000, 4, 2);
  const SamplingParams params{.temperature = 1, .top_p = 0.98f, .seed = 99};
  SamplingParams other = params;
  other.seed = 100;
  TestBackend first(tested_backends()[0]);
  const std::vector<int32_t> expected = sample_many(first, logits, params, 130);
  EXPECT_NE(sample_many(first, logits, other, 130), expected);
  for (const BackendOptions& options : tested_backends()) {
    TestBackend backend(options);
    EXPECT_EQ(sample_many(backend, logits, params, 130), expected);
    const std::vector<int32_t> later = sample_many(backend, logits, params, 60, {}, 70);
    EXPECT_TRUE(std::equal(later.begin(), later.end(), expected.begin() + 70));
  }
}

std::vector<uint32_t> random_mask(size_t vocabulary, uint32_t seed) {
  std::vector<uint32_t> allowed(mask_words(static_cast<int64_t>(vocabulary)));
  const std::vector<float> values = random_values(static_cast<int64_t>(vocabulary) + 1, seed, 1);
  const float bound = static_cast<float>(seed % 7) - 3;
  for (size_t t = 0; t < vocabulary; ++t)
    if (values[t] > bound || t == seed * 7919 % vocabulary)
      allowed[t / 32] |= uint32_t{1} << t % 32;
  return allowed;
}

TEST(Mask, CountsTokensAndLooksThemUp) {
  const std::vector<uint32_t> allowed = {0x80000001, 0xffffffff};
  EXPECT_EQ(count_allowed(allowed, 64), 34);
  EXPECT_EQ(count_allowed(allowed, 34), 4);  // bits beyond the vocabulary don't count
  EXPECT_EQ(count_allowed(allowed, 31), 1);
  EXPECT_TRUE(allows(allowed, 0) && allows(allowed, 31) && !allows(allowed, 30));
  EXPECT_EQ(mask_words(64), 2u);
  EXPECT_EQ(mask_words(65), 3u);
}

TEST(Sample, MasksAreMinusInfinityAfterThePenalties) {
  const std::vector<int32_t> history = {1, 5, 5, 7, 400};
  std::vector<SamplingParams> settings;
  for (float temperature : {0.0f, 0.9f})
    for (float top_p : {1.0f, 0.6f})
      for (int32_t top_k : {0, 1, 5, 600})
        for (float min_p : {0.0f, 0.05f})
          settings.push_back({.temperature = temperature,
                              .top_p = top_p,
                              .min_p = min_p,
                              .top_k = top_k,
                              .seed = settings.size()});
  for (size_t i = 0; i < settings.size(); i += 2) {
    settings[i].xtc_probability = i % 4 == 0 ? 1.0f : 0.0f;
    settings[i].repetition_penalty = 1.3f;
    settings[i].frequency_penalty = 0.2f;
    settings[i].logit_bias = {{3, 30}, {4, -2}};
    settings[i].min_tokens_to_keep = i % 8 == 0 ? 30 : 1;
  }
  TestBackend ref({.device = "ref"});
  for (const BackendOptions& options : with_reference()) {
    TestBackend backend(options);
    for (size_t vocabulary : {1, 33, 1000})
      for (size_t i = 0; i < settings.size(); ++i) {
        SCOPED_TRACE(fmt::format("{}{} {} {}", options.device, options.isa, vocabulary, i));
        const auto seed = static_cast<uint32_t>(i + vocabulary);
        const std::vector<float> logits = random_values(static_cast<int64_t>(vocabulary), seed, 3);
        const std::vector<uint32_t> allowed = random_mask(vocabulary, seed);
        const SampleResult found =
            sample_one(backend, logits, {&settings[i], history, i, 20, allowed});
        EXPECT_TRUE(allows(allowed, found.token));
        const auto count = static_cast<size_t>(
            std::min(20, count_allowed(allowed, static_cast<int64_t>(vocabulary))));
        ASSERT_EQ(found.top.size(), count);
        for (const TokenLogprob& t : found.top) EXPECT_TRUE(allows(allowed, t.token));
        // A bias of minus infinity says the same, token by token.
        SamplingParams biased = settings[i];
        for (size_t t = 0; t < vocabulary; ++t)
          if (!allows(allowed, static_cast<int64_t>(t)))
            biased.logit_bias.emplace_back(static_cast<int32_t>(t), -INFINITY);
        const SampleResult expected = sample_one(ref, logits, {&biased, history, i, 20});
        EXPECT_EQ(found.token, expected.token);
        EXPECT_NEAR(found.logprob, expected.logprob, 1e-5);
        for (size_t j = 0; j < count; ++j) {
          EXPECT_EQ(found.top[j].token, expected.top[j].token);
          EXPECT_NEAR(found.top[j].logprob, expected.top[j].logprob, 1e-5);
        }
      }
  }
}

TEST(Sample, OneAllowedTokenIsTheAnswerWhateverItsLogit) {
  for (const BackendOptions& options : with_reference())
    for (float logit : {2.0f, -INFINITY, std::nanf(""), -1e30f})
      for (float temperature : {0.0f, 1.0f})
        for (float top_p : {1.0f, 0.5f}) {
          TestBackend backend(options);
          std::vector<float> logits = random_values(80, 3, 4);
          logits[40] = logit;
          const std::vector<uint32_t> allowed = {0, 1u << 8, 0};
          const SamplingParams params{
              .temperature = temperature, .top_p = top_p, .min_p = 0.1f, .top_k = 3};
          const SampleResult result = sample_one(backend, logits, {&params, {}, 0, 4, allowed});
          EXPECT_EQ(result.token, 40);
          EXPECT_NEAR(result.logprob, 0, 1e-6);
          ASSERT_EQ(result.top.size(), 1u);
          EXPECT_EQ(result.top[0].token, 40);
        }
}

TEST(Sample, AMaskHoldsForLogitsWithoutNumbers) {
  const std::vector<uint32_t> allowed = {0x00100020};
  for (const BackendOptions& options : with_reference())
    for (float value : {-INFINITY, std::nanf("")})
      for (float temperature : {0.0f, 1.0f})
        for (int32_t top_k : {0, 1, 4}) {
          TestBackend backend(options);
          const SamplingParams params{.temperature = temperature, .top_k = top_k};
          const SampleResult result =
              sample_one(backend, std::vector<float>(25, value), {&params, {}, 3, 4, allowed});
          EXPECT_TRUE(result.token == 5 || result.token == 20) << result.token;
          EXPECT_EQ(result.top.size(), 2u);
        }
}

TEST(Sample, OddInputsGiveATokenInRange) {
  const float nan = std::nanf(""), inf = INFINITY;
  const std::vector<std::vector<float>> rows = {{nan, nan, nan}, {-inf, -inf, -inf},
                                                {nan, 1, 2},     {-inf, 5, -inf},
                                                {inf, 1, inf},   {3e38f, -3e38f, 0}};
  const std::vector<int32_t> history = {-5, 2, 1 << 30};
  for (const BackendOptions& options : tested_backends())
    for (const std::vector<float>& logits : rows)
      for (float temperature : {0.0f, 1e-30f, 1.0f})
        for (float top_p : {1.0f, 0.5f}) {
          TestBackend backend(options);
          SamplingParams params{.temperature = temperature,
                                .top_p = top_p,
                                .min_p = 0.1f,
                                .top_k = 2,
                                .xtc_probability = 1};
          params.presence_penalty = 1;
          params.logit_bias = {{-1, 5}, {77, 5}};
          const SampleResult result = sample_one(backend, logits, {&params, history, 0, 5});
          EXPECT_TRUE(result.token >= 0 && result.token < 3);
          EXPECT_EQ(result.top.size(), 3u);
          const bool one_left = logits[0] == -inf && logits[1] == 5;
          EXPECT_TRUE(!one_left || result.token == 1);
        }
}

}  // namespace
}  // namespace mica

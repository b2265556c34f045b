#include <bit>
#include <cmath>
#include <set>

#include "ops/sample/golden_cases.h"
#include "ops/sample/mask.h"
#include "ops/sample/random.h"
#include "ops/simt/test_backend.h"
#include "tolerance.h"

namespace mica {
namespace {

struct Row {
  std::vector<float> logits;
  SamplingParams params;
  std::vector<int32_t> history;
  uint64_t draw = 0;
  int32_t top = 0;
  std::vector<uint32_t> allowed;
  int32_t given = -1;
};

std::vector<SampleResult> run(TestBackend& backend, const std::vector<Row>& rows) {
  std::vector<float> logits;
  std::vector<SampleRow> asked;
  for (const Row& row : rows) {
    logits.insert(logits.end(), row.logits.begin(), row.logits.end());
    asked.push_back({&row.params, row.history, row.draw, row.top, row.allowed, row.given});
  }
  const auto count = static_cast<int64_t>(rows.size());
  const auto vocabulary = static_cast<int64_t>(rows.empty() ? 1 : rows[0].logits.size());
  std::vector<SampleResult> results(rows.size());
  backend.ops().sample(
      *backend,
      {.logits = backend.put(logits, {count, vocabulary}), .rows = asked, .results = results});
  return results;
}

std::vector<SampleResult> run_simt(const std::vector<Row>& rows,
                                   const simt::Schedule& schedule = {}) {
  simt::SimtTestBackend backend(DType::kF32, schedule);
  return run(backend, rows);
}

std::vector<SampleResult> run_ref(const std::vector<Row>& rows) {
  TestBackend backend({.device = "ref"});
  return run(backend, rows);
}

void expect_same(const std::vector<SampleResult>& found,
                 const std::vector<SampleResult>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t r = 0; r < found.size(); ++r) {
    SCOPED_TRACE(fmt::format("row {}", r));
    EXPECT_EQ(found[r].token, expected[r].token);
    EXPECT_NEAR(found[r].logprob, expected[r].logprob, 1e-5);
    ASSERT_EQ(found[r].top.size(), expected[r].top.size());
    for (size_t i = 0; i < found[r].top.size(); ++i) {
      EXPECT_EQ(found[r].top[i].token, expected[r].top[i].token);
      EXPECT_NEAR(found[r].top[i].logprob, expected[r].top[i].logprob, 1e-5);
    }
  }
}

// Everything that a row returns, as bits.
std::vector<uint32_t> bits_of(const SampleResult& result) {
  std::vector<uint32_t> bits = {static_cast<uint32_t>(result.token),
                                std::bit_cast<uint32_t>(result.logprob)};
  for (const TokenLogprob& alternative : result.top) {
    bits.push_back(static_cast<uint32_t>(alternative.token));
    bits.push_back(std::bit_cast<uint32_t>(alternative.logprob));
  }
  return bits;
}

// Logits as models give, every fifth of them one of few values.
std::vector<float> mixed_logits(int64_t vocabulary, uint32_t seed, float deviation = 8) {
  std::vector<float> logits = random_values(vocabulary, seed, deviation);
  for (size_t i = 0; i < logits.size(); i += 5) logits[i] = std::round(logits[i]);
  return logits;
}

// Every filter alone, and all combinations with some of the others' settings.
std::vector<SamplingParams> all_settings() {
  std::vector<SamplingParams> settings;
  for (float temperature : {0.0f, 0.7f, 1.5f})
    for (float top_p : {1.0f, 0.3f, 0.95f, 0.9999f})
      for (float min_p : {0.0f, 0.002f})
        for (int32_t top_k : {0, 1, 3, 40, 1000})
          for (bool xtc : {false, true}) {
            const size_t i = settings.size();
            if (temperature == 0 && i % 11 != 0) continue;  // all the same
            settings.push_back({.temperature = temperature,
                                .top_p = top_p,
                                .min_p = min_p,
                                .min_tokens_to_keep = i % 2 == 0 ? 1 : 60,
                                .top_k = top_k,
                                .xtc_probability = xtc ? 0.8f : 0.0f,
                                .xtc_threshold = i % 4 < 2 ? 0.1f : 0.01f,
                                .seed = i});
            SamplingParams& last = settings.back();
            if (i % 3 == 0) last.xtc_special_tokens = {7, 1, 900, 7, -1, 1 << 20};
            if (i % 3 == 1) last.repetition_penalty = 1.2f;
            if (i % 5 == 1) last.presence_penalty = 0.5f;
            if (i % 7 == 1) last.frequency_penalty = 0.25f;
            if (i % 4 == 1) last.logit_bias = {{3, 2.5f}, {0, -1}, {3, 0.1f}, {-1, 5}, {77777, 5}};
          }
  return settings;
}

std::vector<Row> rows_of(const std::vector<SamplingParams>& settings, int64_t vocabulary,
                         uint32_t seed, float deviation = 8) {
  std::vector<Row> rows;
  for (size_t i = 0; i < settings.size(); ++i)
    rows.push_back(
        {.logits = mixed_logits(vocabulary, seed + static_cast<uint32_t>(i) % 4, deviation),
         .params = settings[i],
         .history = {1, 5, 5, 7, 40000, 5, -3, 2},
         .draw = i,
         .top = static_cast<int32_t>(i % 5 == 0   ? 20
                                     : i % 5 == 1 ? 3
                                                  : 0)});
  return rows;
}

// Of random density, at least one token.
std::vector<uint32_t> random_mask(int64_t vocabulary, uint32_t seed) {
  std::vector<uint32_t> allowed(mask_words(vocabulary));
  const std::vector<float> values = random_values(vocabulary + 1, seed, 1);
  const float bound = static_cast<float>(seed % 7) - 3;
  for (int64_t t = 0; t < vocabulary; ++t)
    if (values[static_cast<size_t>(t)] > bound)
      allowed[static_cast<size_t>(t / 32)] |= uint32_t{1} << t % 32;
  const int64_t one = seed * 7919 % vocabulary;
  allowed[static_cast<size_t>(one / 32)] |= uint32_t{1} << one % 32;
  return allowed;
}

// In batches of 1, 3 and 17 rows.
void check(const std::vector<Row>& rows) {
  const size_t sizes[] = {1, 3, 17};
  simt::SimtTestBackend backend(DType::kF32);
  TestBackend ref({.device = "ref"});
  for (size_t begin = 0, n = 0; begin < rows.size(); ++n) {
    SCOPED_TRACE(fmt::format("vocabulary {} from setting {}", rows[0].logits.size(), begin));
    const size_t size = std::min(sizes[n % 3], rows.size() - begin);
    const auto first = rows.begin() + static_cast<std::ptrdiff_t>(begin);
    const std::vector<Row> batch(first, first + static_cast<std::ptrdiff_t>(size));
    expect_same(run(backend, batch), run(ref, batch));
    begin += size;
  }
}

TEST(SimtSample, AgreesWithReference) {
  for (int64_t vocabulary : {1, 2, 31, 1000, 4099}) check(rows_of(all_settings(), vocabulary, 3));
}

TEST(SimtSample, LargeVocabulary) {
  std::vector<SamplingParams> some;
  const std::vector<SamplingParams> settings = all_settings();
  for (size_t i = 0; i < settings.size(); i += 9) some.push_back(settings[i]);
  check(rows_of(some, 33003, 5, 3));
}

// Integers: thousands of logits tie with every cut, more than the list of a cut holds.
TEST(SimtSample, ManyTies) {
  std::vector<Row> rows;
  for (const SamplingParams& params : all_settings()) {
    if (params.seed % 3 != 0) continue;
    rows.push_back({.params = params, .history = {9, 9, 4}, .draw = params.seed, .top = 20});
    for (float logit : random_values(6007, 8 + static_cast<uint32_t>(params.seed) % 2, 1.5f))
      rows.back().logits.push_back(std::round(logit));
  }
  check(rows);
}

// A dozen tokens above the threshold, special ones among them.
TEST(SimtSample, XtcSparesSpecialTokens) {
  std::vector<Row> rows;
  for (int32_t top_k : {0, 1, 2, 3, 5, 9, 40})
    for (float threshold : {0.0f, 0.02f, 0.04f, 0.5f})
      for (float top_p : {1.0f, 0.7f})
        for (bool special : {false, true}) {
          Row row = {.logits = random_values(700, static_cast<uint32_t>(rows.size() % 5)),
                     .params = {.top_p = top_p,
                                .min_p = rows.size() % 3 == 0 ? 0.05f : 0.0f,
                                .top_k = top_k,
                                .xtc_probability = 1,
                                .xtc_threshold = threshold}};
          if (special) row.params.xtc_special_tokens = {12, 4, 3, 8, 4, 690, 400, 0};
          for (size_t i = 0; i < 14; ++i) row.logits[i] = 7 + std::round(row.logits[i] * 4) / 8;
          for (; row.draw < 3; ++row.draw) {
            row.params.temperature = row.draw == 2 ? 0.01f : 8.0f;
            rows.push_back(row);
          }
        }
  check(rows);
}

// The threshold is a share of what the filters left: here of some of the tokens that tie.
TEST(SimtSample, XtcAfterACutAmongTies) {
  for (size_t vocabulary : {101, 1001}) {
    std::vector<Row> rows;
    for (uint64_t draw = 0; draw < 4; ++draw) {
      rows.push_back({.logits = std::vector<float>(vocabulary, 2.0f),
                      .params = {.temperature = 1,
                                 .min_p = 0.9f,
                                 .min_tokens_to_keep = 11,
                                 .xtc_probability = 1,
                                 .xtc_threshold = 0.05f},
                      .draw = draw});
      rows.back().logits[9] = 4;
    }
    check(rows);
    for (const SampleResult& result : run_simt(rows)) EXPECT_NE(result.token, 9);
  }
}

TEST(SimtSample, MinPOfOneAndMore) {
  std::vector<Row> rows;
  for (float min_p : {0.5f, 1.0f, 3.0f})
    for (int32_t keep : {1, 3, 6, 50})
      for (uint64_t draw = 0; draw < 4; ++draw)
        rows.push_back({.logits = {1, 3, 2, 3, 3, 0, 2.9f, 2.95f},
                        .params = {.temperature = 5, .min_p = min_p, .min_tokens_to_keep = keep},
                        .draw = draw});
  check(rows);
}

// Beyond the range in which bins have the same width, and far from zero.
TEST(SimtSample, LogitsFarApart) {
  std::vector<SamplingParams> some;
  const std::vector<SamplingParams> settings = all_settings();
  for (size_t i = 0; i < settings.size(); i += 7) some.push_back(settings[i]);
  for (float shift : {0.0f, -900.0f, 1e6f}) {
    std::vector<Row> rows = rows_of(some, 1999, 4, 60);
    for (Row& row : rows) {
      for (float& logit : row.logits) logit += shift;
      row.logits[11] += 100;  // leads by far
    }
    check(rows);
  }
}

// Beside rows that draw; in the first chunk, in the last one, and where an edit has gone before.
TEST(SimtSample, GivenTokens) {
  for (int64_t vocabulary : {31, 9001}) {
    std::vector<Row> rows = rows_of(all_settings(), vocabulary, 4);
    rows.resize(34);
    for (size_t i = 0; i < rows.size(); ++i)
      if (i % 3 != 2) rows[i].given = i % 2 == 0 ? 3 : static_cast<int32_t>(vocabulary) - 1;
    check(rows);
  }
}

TEST(SimtSample, TiesGoToTheLowerId) {
  const std::vector<float> logits = {1, 3, 2, 3, 3, -0.0f, 0.0f};
  const std::vector<Row> rows = {
      {.logits = logits, .params = {}, .top = 7},
      {.logits = logits, .params = {.temperature = 1, .top_k = 2}, .top = 4},
      {.logits = {5, 5, 5, 5, 5, 5, 5}, .params = {}, .top = 7},
  };
  const std::vector<SampleResult> found = run_simt(rows);
  expect_same(found, run_ref(rows));
  EXPECT_EQ(found[0].token, 1);
  EXPECT_EQ(found[0].top[5].token, 5);  // -0 ties with 0
  EXPECT_TRUE(found[1].token == 1 || found[1].token == 3);
  EXPECT_EQ(found[2].token, 0);
}

TEST(SimtSample, FlatLogitsKeepAllThatTie) {
  std::vector<Row> rows;
  for (uint64_t draw = 0; draw < 40; ++draw)
    rows.push_back({.logits = std::vector<float>(5000, 0.5f),
                    .params = {.temperature = 1, .top_p = 0.5f},
                    .draw = draw,
                    .top = static_cast<int32_t>(draw % 2)});
  const std::vector<SampleResult> found = run_simt(rows);
  expect_same(found, run_ref(rows));
  int32_t highest = 0;
  for (const SampleResult& result : found) highest = std::max(highest, result.token);
  EXPECT_GT(highest, 4000);
}

// Draws that cover [0, 1) evenly at a temperature at which survivors are about as likely.
TEST(SimtSample, SurvivorsAreThoseOfMlxLm) {
  constexpr size_t kStrata = 128;
  std::vector<uint64_t> draws;
  for (uint64_t draw = 0; draws.size() < kStrata; ++draw) {
    const double u = uniform(0, draw, RandomStream::kToken);
    if (static_cast<size_t>(u * kStrata) == draws.size()) draws.push_back(draw);
  }
  for (const GoldenCase& c : golden_cases()) {
    SCOPED_TRACE(c.name);
    std::vector<Row> rows;
    for (uint64_t draw : draws)
      rows.push_back({.logits = c.logits, .params = c.params, .history = c.history, .draw = draw});
    for (Row& row : rows) row.params.temperature = 50;
    std::set<int32_t> tokens;
    for (const SampleResult& result : run_simt(rows)) tokens.insert(result.token);
    EXPECT_EQ(tokens, std::set<int32_t>(c.survivors.begin(), c.survivors.end()));
  }
}

TEST(SimtSample, LogprobsAreThoseOfMlxLm) {
  for (const GoldenCase& c : golden_cases()) {
    SCOPED_TRACE(c.name);
    const auto vocabulary = static_cast<int32_t>(c.logits.size());
    const SampleResult result = run_simt(
        {{.logits = c.logits, .params = c.params, .history = c.history, .top = vocabulary + 1}})[0];
    ASSERT_EQ(result.top.size(), c.logits.size());
    std::vector<float> logprobs(c.logits.size());
    for (const TokenLogprob& t : result.top) logprobs[static_cast<size_t>(t.token)] = t.logprob;
    expect_close(logprobs, c.logprobs, DType::kF32);
  }
}

// Chi-square over 3000 draws from softmax(logits / 0.8) with 9 degrees of freedom: 33.7 is passed
// by chance once in 10000 seeds.
TEST(SimtSample, FrequenciesFollowTheProbabilities) {
  const std::vector<float> logits = {0, 1, 2, -1, 0.5f, 1.5f, 2.5f, -2, 0.25f, 1.75f};
  constexpr size_t kDraws = 3000;
  std::vector<Row> rows;
  for (uint64_t draw = 0; draw < kDraws; ++draw)
    rows.push_back({.logits = logits, .params = {.temperature = 0.8f, .seed = 42}, .draw = draw});
  std::vector<double> seen(logits.size());
  for (const SampleResult& result : run_simt(rows)) seen[static_cast<size_t>(result.token)] += 1;
  double sum = 0, chi_square = 0;
  for (float logit : logits) sum += std::exp(logit / 0.8);
  for (size_t i = 0; i < logits.size(); ++i) {
    const double expected = kDraws * std::exp(logits[i] / 0.8) / sum;
    chi_square += (seen[i] - expected) * (seen[i] - expected) / expected;
  }
  EXPECT_LT(chi_square, 33.7);
}

TEST(SimtSample, SameBitsAloneInABatchAndUnderEverySchedule) {
  for (int64_t vocabulary : {31, 9001}) {
    std::vector<SamplingParams> settings = all_settings();
    for (size_t i = 0; i < 17; ++i) settings[i] = settings[i * (settings.size() / 17)];
    settings.resize(17);
    std::vector<Row> rows = rows_of(settings, vocabulary, 6);
    rows.push_back(rows[3]);
    for (float& logit : rows.back().logits) logit = std::round(logit / 8);  // the long way
    const std::vector<SampleResult> expected = run_simt(rows);
    for (size_t r = 0; r < rows.size(); ++r)
      EXPECT_EQ(bits_of(run_simt({rows[r]})[0]), bits_of(expected[r])) << "alone, row " << r;
    std::vector<simt::Schedule> schedules = simt::all_schedules(3);
    schedules.push_back({.order = simt::Order::kRandom, .seed = 9, .os_threads = 3});
    for (const simt::Schedule& schedule : schedules) {
      const std::vector<SampleResult> found = run_simt(rows, schedule);
      for (size_t r = 0; r < rows.size(); ++r)
        EXPECT_EQ(bits_of(found[r]), bits_of(expected[r])) << "another schedule, row " << r;
    }
  }
}

TEST(SimtSample, OddInputsGiveATokenInRange) {
  const float nan = std::nanf(""), inf = INFINITY;
  std::vector<Row> rows;
  for (const std::vector<float>& logits : {std::vector<float>{nan, nan, nan},
                                           {-inf, -inf, -inf},
                                           {nan, 1, 2},
                                           {-inf, 5, -inf},
                                           {inf, 1, inf},
                                           {inf, nan, -inf},
                                           {3e38f, -3e38f, 0}})
    for (float temperature : {0.0f, 1e-40f, 1e-30f, 1.0f, inf})
      for (float top_p : {1.0f, 1e-30f, 0.5f})
        for (int32_t keep : {1, 2, 9})
          rows.push_back({.logits = logits,
                          .params = {.temperature = temperature,
                                     .top_p = top_p,
                                     .min_p = keep == 2 ? 3.0f : 0.1f,
                                     .min_tokens_to_keep = keep,
                                     .top_k = 2,
                                     .xtc_probability = 1,
                                     .xtc_threshold = keep == 9 ? 0.0f : 0.1f,
                                     .presence_penalty = 1,
                                     .logit_bias = {{-1, 5}, {77, 5}}},
                          .history = {-5, 2, 1 << 30},
                          .top = 5});
  for (const Row& row : rows) {
    SCOPED_TRACE(fmt::format("{} temperature {} top_p {} keep {}", fmt::join(row.logits, " "),
                             row.params.temperature, row.params.top_p,
                             row.params.min_tokens_to_keep));
    const SampleResult result = run_simt({row})[0];
    EXPECT_TRUE(result.token >= 0 && result.token < 3);
    EXPECT_EQ(result.top.size(), 3u);
    std::set<int32_t> ids;
    for (const TokenLogprob& alternative : result.top) ids.insert(alternative.token);
    EXPECT_EQ(ids, (std::set<int32_t>{0, 1, 2}));
    if (row.logits[0] == -inf && row.logits[1] == 5) {
      EXPECT_EQ(result.token, 1);
    }
  }
}

TEST(SimtSample, MasksWithEverySetting) {
  for (int64_t vocabulary : {1, 31, 1000, 4099}) {
    std::vector<Row> rows = rows_of(all_settings(), vocabulary, 4);
    for (size_t i = 0; i < rows.size(); ++i)
      if (i % 4 != 3)  // some rows have none
        rows[i].allowed = random_mask(vocabulary, static_cast<uint32_t>(i));
    check(rows);
  }
}

TEST(SimtSample, OneAllowedTokenIsTheAnswer) {
  std::vector<Row> rows = rows_of(all_settings(), 5003, 7);
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t token = i * 37 % 5003;
    rows[i].allowed.assign(mask_words(5003), 0);
    rows[i].allowed[token / 32] |= uint32_t{1} << token % 32;
    const SampleResult result = run_simt({rows[i]})[0];
    EXPECT_EQ(result.token, static_cast<int32_t>(token));
    EXPECT_NEAR(result.logprob, 0, 1e-6);
    EXPECT_EQ(result.top.size(), rows[i].top > 0 ? 1u : 0u);
    i += 10;
  }
}

TEST(SimtSample, AMaskHoldsForLogitsWithoutNumbers) {
  const float nan = std::nanf(""), inf = INFINITY;
  std::vector<Row> rows;
  for (float value : {-inf, nan, -3e38f})
    for (float temperature : {0.0f, 1.0f})
      for (int32_t top_k : {0, 1, 3})
        for (float top_p : {1.0f, 0.5f}) {
          Row row = {.logits = std::vector<float>(70, value),
                     .params = {.temperature = temperature, .top_p = top_p, .top_k = top_k},
                     .draw = rows.size(),
                     .top = 5,
                     .allowed = {0, 0x00100020, 0x8}};
          row.logits[1] = 4;  // forbidden
          rows.push_back(row);
        }
  for (const SampleResult& result : run_simt(rows)) {
    EXPECT_TRUE(result.token == 37 || result.token == 52 || result.token == 67) << result.token;
    EXPECT_EQ(result.top.size(), 3u);
  }
  check(rows);
}

TEST(SimtSample, NoRows) {
  EXPECT_TRUE(run_simt({}).empty());
}

}  // namespace
}  // namespace mica

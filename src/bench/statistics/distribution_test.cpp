#include "bench/statistics/distribution.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/mix.h"
#include "bench/statistics/bootstrap.h"
#include "bench/statistics/series_tests.h"
#include "bench/statistics/stop_rule.h"

namespace mica {
namespace {

// Values around `mean` with a deviation of about `spread`: sums of twelve uniform numbers.
std::vector<double> noise(int count, double mean, double spread, uint64_t seed) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i) {
    double sum = 0;
    for (int k = 0; k < 12; ++k)
      sum +=
          static_cast<double>(random_word(seed, static_cast<uint64_t>(i * 12 + k)) >> 11) * 0x1p-53;
    values.push_back(mean + spread * (sum - 6));
  }
  return values;
}

// numpy.percentile([1, 2, 4, 8], p)
TEST(Distribution, PercentilesAreInterpolatedAsNumpyDoes) {
  const std::vector<double> values = {1, 2, 4, 8};
  EXPECT_DOUBLE_EQ(percentile(values, 0), 1);
  EXPECT_DOUBLE_EQ(percentile(values, 50), 3);
  EXPECT_DOUBLE_EQ(percentile(values, 90), 6.8);
  EXPECT_DOUBLE_EQ(percentile(values, 99), 7.88);
  EXPECT_DOUBLE_EQ(percentile(values, 100), 8);
  EXPECT_DOUBLE_EQ(percentile(std::vector<double>{5}, 99), 5);
}

TEST(Distribution, OfKnownValues) {
  const std::vector<double> values = {4, 1, 8, 2};
  const Distribution d = describe(values);
  EXPECT_EQ(d.count, 4);
  EXPECT_DOUBLE_EQ(d.mean, 3.75);
  EXPECT_DOUBLE_EQ(d.median, 3);
  EXPECT_DOUBLE_EQ(d.min, 1);
  EXPECT_DOUBLE_EQ(d.max, 8);
  EXPECT_NEAR(d.deviation, 3.0956959368, 1e-9);
  EXPECT_NEAR(d.variation, 0.8255189165, 1e-9);
  EXPECT_DOUBLE_EQ(d.p95, 7.4);
}

TEST(Distribution, OneValueHasNoIntervalAndNoDeviation) {
  const Distribution d = describe_samples(std::vector<double>{2});
  EXPECT_EQ(d.deviation, 0);
  EXPECT_EQ(d.median, 2);
  EXPECT_FALSE(d.median_interval || d.mean_interval || d.drift);
}

TEST(Bootstrap, TheSameSeedGivesTheSameInterval) {
  const std::vector<double> values = noise(50, 10, 1, 1);
  EXPECT_EQ(bootstrap_mean(values), bootstrap_mean(values));
  EXPECT_NE(bootstrap_mean(values), bootstrap_mean(values, {.seed = 1}));
}

// Of the mean of n values it is mean ± 1.96 deviation / sqrt(n), nearly.
TEST(Bootstrap, TheMeansIntervalIsAsWideAsTheorySays) {
  const std::vector<double> values = noise(400, 10, 1, 2);
  const Interval interval = bootstrap_mean(values);
  const double half = 1.96 * deviation_of(values) / 20;
  EXPECT_NEAR(interval.low, mean_of(values) - half, 0.1 * half);
  EXPECT_NEAR(interval.high, mean_of(values) + half, 0.1 * half);
}

// 95 % of the intervals of many samples hold the true median, give or take what 200 samples allow.
TEST(Bootstrap, IntervalsHoldTheTruthAsOftenAsTheySay) {
  int held = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Interval interval = bootstrap_median(noise(60, 5, 1, 100 + seed), {.resamples = 500});
    held += interval.low <= 5 && 5 <= interval.high;
  }
  EXPECT_GE(held, 178);
  EXPECT_LE(held, 199);
}

TEST(Bootstrap, RatiosAndPermutationsSeeADifference) {
  const std::vector<double> a = noise(80, 10, 0.3, 3), b = noise(80, 10.5, 0.3, 4);
  const Interval ratio = bootstrap_ratio(a, b, median_statistic);
  EXPECT_GT(ratio.low, 1.03);
  EXPECT_LT(ratio.high, 1.07);
  EXPECT_LT(permutation_p(a, b, mean_statistic), 0.001);
  EXPECT_LT(rank_p(a, b), 0.001);
  const std::vector<double> same = noise(80, 10, 0.3, 5);
  EXPECT_GT(permutation_p(a, same, mean_statistic), 0.05);
  EXPECT_GT(rank_p(a, same), 0.05);
  EXPECT_EQ(permutation_p(a, a, mean_statistic), 1);
  EXPECT_EQ(rank_p(a, a), 1);
}

TEST(Bootstrap, RanksSeparateTwoHeapsOfEqualValues) {
  const std::vector<double> low(40, 1), high(40, 1.05);
  EXPECT_LT(rank_p(low, high), 0.001);
  // All 20 ways to relabel 3 and 3: two are as far apart.
  const std::vector<double> a = {1, 2, 3}, b = {4, 5, 6};
  EXPECT_NEAR(rank_p(a, b), 0.1, 0.02);
}

TEST(Drift, SeesATrendAndNotNoise) {
  std::vector<double> values = noise(60, 10, 0.2, 6);
  ASSERT_TRUE(find_drift(values));
  EXPECT_FALSE(find_drift(values)->flagged);
  for (size_t i = 0; i < values.size(); ++i) values[i] += 0.02 * static_cast<double>(i);
  const Drift drift = *find_drift(values);
  EXPECT_TRUE(drift.flagged);
  EXPECT_NEAR(drift.change, 0.11, 0.02);  // 1.18 of 10.6
  EXPECT_LT(drift.p, 1e-6);
}

TEST(Drift, OfManyValuesIsTheSame) {
  std::vector<double> values = noise(5000, 10, 0.2, 7);
  EXPECT_FALSE(find_drift(values)->flagged);
  for (size_t i = 0; i < values.size(); ++i) values[i] -= 0.0002 * static_cast<double>(i);
  EXPECT_TRUE(find_drift(values)->flagged);
  EXPECT_NEAR(find_drift(values)->change, -0.105, 0.01);
}

TEST(Drift, NeedsValuesThatDiffer) {
  EXPECT_FALSE(find_drift(std::vector<double>(7, 1)));
  EXPECT_EQ(find_drift(std::vector<double>(20, 1))->p, 1);
  EXPECT_FALSE(find_drift(std::vector<double>(20, 0))->flagged);
}

TEST(Outliers, LieFarFromTheRest) {
  std::vector<double> values = noise(40, 10, 0.2, 8);
  EXPECT_TRUE(find_outliers(values).empty());
  values[3] = 14;
  values[17] = 5;
  EXPECT_EQ(find_outliers(values), (std::vector<int64_t>{3, 17}));
  // Equal values but one: no spread to measure by, and 4 % is no distance.
  std::vector<double> equal(10, 100);
  equal[4] = 104;
  EXPECT_TRUE(find_outliers(equal).empty());
  equal[4] = 106;
  EXPECT_EQ(find_outliers(equal), std::vector<int64_t>{4});
}

TEST(StopRule, StopsWhenPrecise) {
  StopRule rule({.precision = 0.01, .min_samples = 10, .max_samples = 500});
  const std::vector<double> values = noise(500, 10, 0.5, 9);
  size_t used = 0;
  while (!rule.done()) rule.add(values.at(used++));
  EXPECT_TRUE(rule.precise());
  // Half width of a median: 1.96 * 1.25 * 5 % / sqrt(n) = 1 % at n = 150.
  EXPECT_GT(used, 60u);
  EXPECT_LT(used, 300u);
  EXPECT_LE(rule.reached(), 0.01);
}

TEST(StopRule, GivesUpAtItsLimitAndWaitsForItsMinimum) {
  StopRule wild({.precision = 0.001, .min_samples = 5, .max_samples = 40});
  const std::vector<double> values = noise(40, 10, 3, 10);
  for (const double value : values) {
    EXPECT_FALSE(wild.done());
    wild.add(value);
  }
  EXPECT_TRUE(wild.done());
  EXPECT_FALSE(wild.precise());
  EXPECT_GT(wild.reached(), 0.001);
  StopRule calm({.min_samples = 6});
  for (int i = 0; i < 5; ++i) {
    calm.add(1);
    EXPECT_FALSE(calm.done());
  }
  calm.add(1);
  EXPECT_TRUE(calm.precise());
}

}  // namespace
}  // namespace mica

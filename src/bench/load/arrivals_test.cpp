#include "bench/load/arrivals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace mica {
namespace {

std::vector<double> gaps_of(const std::vector<double>& times) {
  std::vector<double> gaps;
  for (size_t i = 1; i < times.size(); ++i) gaps.push_back(times[i] - times[i - 1]);
  return gaps;
}

// Standard deviation over mean.
double variation(const std::vector<double>& values) {
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const double mean = sum / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size())) / mean;
}

TEST(Arrivals, TextAndBack) {
  for (const char* text :
       {"closed:8", "constant:4", "poisson:2.5", "poisson:1-10", "gamma:4:0.5", "gamma:4-1:0.5"})
    EXPECT_EQ(to_string(parse_arrivals(text)), text);
}

TEST(Arrivals, WhatIsNoneIsRefused) {
  for (const char* text :
       {"", "closed", "closed:", "closed:0", "closed:1.5", "closed:2x", "poisson", "poisson:-1",
        "poisson:nan", "poisson:inf", "poisson:1-", "gamma:4", "gamma:4:", "gamma:4:0", "burst:3",
        "constant:1:2", "poisson:1e9"})
    EXPECT_THROW(parse_arrivals(text), Error) << text;
}

TEST(Arrivals, EveryKindHasTheRateThatWasAskedFor) {
  for (const char* text : {"constant:4", "poisson:4", "gamma:4:0.25", "gamma:4:9"}) {
    const std::vector<double> times = arrival_times(parse_arrivals(text), 401);
    EXPECT_EQ(times.front(), 0) << text;
    EXPECT_NEAR(times.back(), 100, 1e-9) << text;
    EXPECT_TRUE(std::is_sorted(times.begin(), times.end())) << text;
  }
}

// Gaps vary by 0, 1 and 1 / sqrt(shape) of their mean. Of 20,000 gaps the error is below 5 %.
TEST(Arrivals, GapsVaryAsTheirDistributionSays) {
  const auto variation_of = [](const char* text) {
    return variation(gaps_of(arrival_times(parse_arrivals(text), 20001)));
  };
  EXPECT_NEAR(variation_of("constant:2"), 0, 1e-6);
  EXPECT_NEAR(variation_of("poisson:2"), 1, 0.05);
  EXPECT_NEAR(variation_of("gamma:2:0.25"), 2, 0.1);
  EXPECT_NEAR(variation_of("gamma:2:4"), 0.5, 0.025);
}

TEST(Arrivals, ARampReachesItsRate) {
  const std::vector<double> times = arrival_times(parse_arrivals("constant:1-9"), 1001);
  EXPECT_NEAR(times.back(), 200, 1e-6);  // 1000 gaps at 5 a second on average
  EXPECT_NEAR(times[1] - times[0], 1, 0.02);
  EXPECT_NEAR(times[1000] - times[999], 1.0 / 9, 0.001);
  const std::vector<double> falling = arrival_times(parse_arrivals("poisson:9-1"), 1001);
  EXPECT_NEAR(falling.back(), 200, 1e-6);
  EXPECT_TRUE(std::is_sorted(falling.begin(), falling.end()));
}

TEST(Arrivals, TheSeedDecides) {
  ArrivalOptions options = parse_arrivals("poisson:3");
  const auto first = arrival_times(options, 50);
  EXPECT_EQ(first, arrival_times(options, 50));
  options.seed = 1;
  EXPECT_NE(first, arrival_times(options, 50));
}

TEST(Arrivals, FewRequests) {
  EXPECT_TRUE(arrival_times(parse_arrivals("poisson:3"), 0).empty());
  EXPECT_EQ(arrival_times(parse_arrivals("poisson:3"), 1), std::vector<double>{0});
}

}  // namespace
}  // namespace mica

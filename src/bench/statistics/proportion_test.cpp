#include "bench/statistics/proportion.h"

#include <gtest/gtest.h>

namespace mica {
namespace {

TEST(Proportion, WilsonIntervals) {
  struct Case {
    Proportion proportion;
    double low, high;
  };
  // The first four: R. Newcombe, Statistics in Medicine 17 (1998), table I, method 3. The others:
  // scipy 1.x, binomtest(right, all).proportion_ci(method='wilson').
  const Case cases[] = {
      {{81, 263}, 0.2553, 0.3662},
      {{15, 148}, 0.0624, 0.1605},
      {{0, 20}, 0.0000, 0.1611},
      {{1, 29}, 0.0061, 0.1718},
      {{0, 10}, 0.0, 0.2775327998628893},
      {{10, 10}, 0.7224672001371109, 1.0},
      {{1, 10}, 0.0178762131, 0.4041500268},
      {{685, 1319}, 0.4923526447, 0.5462007282},
      {{373, 541}, 0.6492521414, 0.7270041010},
      {{1, 1}, 0.2065493144, 1.0},
      {{0, 0}, 0, 1},
  };
  for (size_t i = 0; i < std::size(cases); ++i) {
    const Interval found = wilson_interval(cases[i].proportion);
    const double tolerance = i < 4 ? 0.00005 : 1e-9;
    EXPECT_NEAR(found.low, cases[i].low, tolerance) << i;
    EXPECT_NEAR(found.high, cases[i].high, tolerance) << i;
  }
}

TEST(Proportion, Adds) {
  Proportion p;
  EXPECT_EQ(p.value(), 0);
  for (const bool right : {true, false, true, true}) p.add(right);
  EXPECT_EQ(p.value(), 0.75);
}

}  // namespace
}  // namespace mica

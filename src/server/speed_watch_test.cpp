#include "server/speed_watch.h"

#include <gtest/gtest.h>

namespace mica {
namespace {

// 4 GB a step; the device reads 2 TB/s: 2 ms.
EngineStats after(uint64_t steps, double seconds) {
  EngineStats stats;
  stats.decode_steps = steps;
  stats.decode_seconds = seconds;
  stats.decode_bytes = 4e9 * static_cast<double>(steps);
  return stats;
}

TEST(SpeedWatch, WarnsBelowAThird) {
  SpeedWatch watch(2e12, 1);
  EXPECT_FALSE(watch.check(after(1000, 4.0)));
  const auto warning = watch.check(after(2000, 4.0 + 7.0));
  ASSERT_TRUE(warning);
  EXPECT_NE(warning->find("7.00 ms a step over 1000 steps"), std::string::npos) << *warning;
  EXPECT_NE(warning->find("about 2.11 ms"), std::string::npos) << *warning;
  EXPECT_FALSE(watch.check(after(3000, 11.0 + 5.0)));
}

TEST(SpeedWatch, NeedsSteps) {
  SpeedWatch watch(2e12, 1);
  EXPECT_FALSE(watch.check(after(99, 9.0)));
  EXPECT_TRUE(watch.check(after(100, 9.0)));
  EXPECT_FALSE(watch.check(after(100, 9.0)));  // nothing new
}

TEST(SpeedWatch, WithoutBandwidthItIsSilent) {
  SpeedWatch watch(0, 1);
  EXPECT_FALSE(watch.check(after(1000, 1e6)));
}

TEST(SpeedWatch, StartsOfKernelsAreExpected) {
  EngineStats stats;
  stats.decode_steps = 1000;
  stats.decode_bytes = 1e9;
  stats.decode_seconds = 4.0;  // 4 ms a step, 28 layers: 1.6 ms of starts
  EXPECT_FALSE(SpeedWatch(2e12, 28).check(stats));
  stats.decode_seconds = 6.0;
  EXPECT_TRUE(SpeedWatch(2e12, 28).check(stats));
}

}  // namespace
}  // namespace mica

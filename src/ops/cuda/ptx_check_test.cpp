#include "ops/cuda/ptx_check.h"

#include <bit>
#include <cmath>
#include <numeric>
#include <random>

#include "ops/simt/simt_test.h"

namespace mica::simt {
namespace {

struct CheckResult {
  std::vector<uint32_t> out, counters;
  bool operator==(const CheckResult&) const = default;
};

std::vector<uint32_t> inputs() {
  std::mt19937 random(17);
  std::vector<uint32_t> in(PtxCheck::kThreads * 4);
  for (uint32_t& word : in) word = static_cast<uint32_t>(random());
  return in;
}

CheckResult run_check(const Schedule& schedule) {
  TestDevice device(schedule);
  const uint32_t* in = device.put(inputs());
  constexpr size_t kOut = PtxCheck::kThreads * PtxCheck::kWords;
  uint32_t* out = device.put(std::vector<uint32_t>(kOut, 0xdeadbeefu));
  uint32_t* counters = device.put(std::vector<uint32_t>(4));
  ptx_check(device.stream(), {.in = in, .out = out, .counters = counters});
  return {device.get(out, kOut), device.get(counters, 4)};
}

TEST(PtxCheck, TheSameUnderEverySchedule) {
  const CheckResult first = run_check({});
  for (const Schedule& schedule : all_schedules(20)) EXPECT_TRUE(run_check(schedule) == first);
}

TEST(PtxCheck, KnownResults) {
  const std::vector<uint32_t> in = inputs();
  const CheckResult found = run_check({.order = Order::kRandom, .seed = 9});
  uint32_t sum = 0, block_sum = 0;
  uint64_t wide = 0;
  for (size_t thread = 0; thread < 64; ++thread) block_sum += in[thread * 4 + 3];
  for (size_t thread = 0; thread < 64; ++thread) {
    const uint32_t* own = &in[thread * 4];
    const uint32_t* out = &found.out[thread * PtxCheck::kWords];
    sum += own[0];
    wide += uint64_t{own[0]} << 16;
    EXPECT_EQ(out[2], own[0] ^ own[1] ^ own[2]);                                    // lop3
    EXPECT_EQ(out[12], in[(thread ^ 9) * 4]);                                       // shuffle_xor
    EXPECT_EQ(out[24], in[(thread / 32 * 32 + thread % 32 / 4) * 4 + thread % 4]);  // ldmatrix
    const std::vector<uint32_t> copied(out + 38, out + 42);
    EXPECT_EQ(copied, (std::vector<uint32_t>{own[0], own[1] & 0xff, 0, own[3]}));  // cp.async
    EXPECT_EQ(out[PtxCheck::kWords - 4], 64u);                                     // atom.shared
    EXPECT_EQ(out[PtxCheck::kWords - 3], 63u * 64 / 2);                            // red.shared
    if (thread >= 32) {
      EXPECT_EQ(out[50], in[(thread - 32) * 4]);  // across a named barrier
    }
    const size_t last = thread >= 32 ? 52 : 51;
    EXPECT_EQ(out[last] & 0xffff, out[8]);      // pack_pair as from_float<bf16>
    EXPECT_EQ(out[last + 1] & 0xffff, out[7]);  // and as from_float<f16>
    EXPECT_EQ(as_float(out[last + 2]), std::ldexp(1.0f, static_cast<int>(own[0] % 64) - 32));
    EXPECT_EQ(as_float(out[last + 3]), std::ldexp(1.0f, -static_cast<int>(own[0] % 31)));
    const float product = as_float(own[3] & 0x477fffff) * as_float(own[2] & 0x477fffff);
    EXPECT_EQ(as_float(out[last + 4]), product);                             // multiply_rounded
    EXPECT_EQ(out[last + 7], static_cast<uint32_t>(std::popcount(own[0])));  // count_bits
    EXPECT_EQ(out[last + 8], block_sum);                                     // red_add_shared
    EXPECT_EQ(out[last + 9], own[1] ^ own[2] ^ own[3]);                      // SharedPlace
    EXPECT_EQ(out[last + 10], own[1] ^ own[2] ^ own[3]);                     // StreamedPlace
  }
  const uint32_t* last = &found.out[PtxCheck::kWords - 2];
  EXPECT_EQ(uint64_t{last[1]} << 32 | last[0], wide);  // red.u64
  EXPECT_EQ(found.counters[0], sum);
  EXPECT_EQ(as_float(found.counters[1]), 63 * 64 / 2);
  EXPECT_EQ(found.counters[2], 64u);
  EXPECT_EQ(found.counters[3], sum);
}

TEST(PtxCheck, ProductsOfBf16Pairs) {
  const auto pair = [](float low, float high) {
    return static_cast<uint32_t>(f32_to_bf16(high)) << 16 | f32_to_bf16(low);
  };
  EXPECT_EQ(mul_bf16x2(pair(3, -5), pair(0.5f, 7)), pair(1.5f, -35));
  EXPECT_EQ(mul_bf16x2(pair(0, -0.0f), pair(2, 2)), pair(0, -0.0f));
  EXPECT_EQ(mul_bf16x2(pair(0x1p-133f, 0x1p127f), pair(0x1p120f, 2)),
            pair(0x1p-13f, INFINITY));                                        // subnormal, overflow
  EXPECT_EQ(mul_bf16x2(pair(1.0078125f, 0x3p-133f), pair(1.5f, 0.5f)),        // 1.51171875
            pair(1.515625f, 0x2p-133f));                                      // ties to even
  EXPECT_EQ(mul_bf16x2(pair(0x81p-70f, 0x1p-126f), pair(0x81p-70f, 1e-30f)),  // 130.008 * 2^-133
            pair(0x82p-133f, 0));
}

}  // namespace
}  // namespace mica::simt

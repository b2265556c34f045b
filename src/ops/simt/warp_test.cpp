#include <algorithm>

#include "ops/simt/simt_test.h"

namespace mica::simt {
namespace {

MICA_KERNEL void shuffles(uint32_t* out) {
  const int lane = lane_index();
  const auto value = static_cast<uint32_t>(100 + lane);
  uint32_t* mine = out + lane * 6;
  mine[0] = shuffle(kFullWarp, value, 5);
  mine[1] = shuffle(kFullWarp, value, lane + 1, 8);
  mine[2] = shuffle_up(kFullWarp, value, 3);
  mine[3] = shuffle_down(kFullWarp, value, 2, 16);
  mine[4] = shuffle_xor(kFullWarp, value, 17);
  mine[5] = shuffle_up(kFullWarp, value, 1, 4);
}

TEST(Warp, Shuffles) {
  for (const Schedule& schedule : all_schedules()) {
    TestDevice device(schedule);
    auto* out = device.make<uint32_t>(32 * 6);
    launch(device.stream(), {"shuffles", {1}, {32}}, shuffles, out);
    const auto found = device.get(out, 32 * 6);
    for (int lane = 0; lane < 32; ++lane) {
      const std::vector<int> from = {5,
                                     lane / 8 * 8 + (lane + 1) % 8,
                                     lane < 3 ? lane : lane - 3,
                                     lane % 16 < 14 ? lane + 2 : lane,
                                     lane ^ 17,
                                     lane % 4 ? lane - 1 : lane};
      for (int i = 0; i < 6; ++i)
        EXPECT_EQ(found[static_cast<size_t>(lane * 6 + i)],
                  static_cast<uint32_t>(100 + from[static_cast<size_t>(i)]))
            << "lane " << lane << " shuffle " << i;
    }
  }
}

MICA_KERNEL void votes(uint32_t* out) {
  const int lane = lane_index();
  uint32_t* mine = out + lane * 11;
  // Two halves that never meet, then the whole.
  const uint32_t half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  mine[0] = ballot(half, lane % 3 == 0);
  mine[1] = any(kFullWarp, lane == 31);
  mine[2] = all(kFullWarp, lane >= 0);
  mine[3] = reduce_add(kFullWarp, static_cast<uint32_t>(lane));
  mine[4] = reduce_min(half, static_cast<uint32_t>(lane + 7));
  mine[5] = reduce_max(half, static_cast<uint32_t>(-lane));
  mine[6] = reduce_min_signed(kFullWarp, 5 - lane);
  mine[7] = reduce_max_signed(kFullWarp, 5 - lane);
  mine[8] = reduce_and(kFullWarp, 0xf0u | static_cast<uint32_t>(lane));
  mine[9] = reduce_or(half, 1u << lane);
  mine[10] = reduce_xor(kFullWarp, 1u << (lane % 31));
}

TEST(Warp, VotesAndReductions) {
  for (const Schedule& schedule : all_schedules()) {
    TestDevice device(schedule);
    auto* out = device.make<uint32_t>(32 * 11);
    launch(device.stream(), {"votes", {1}, {32}}, votes, out);
    const auto found = device.get(out, 32 * 11);
    for (size_t lane = 0; lane < 32; ++lane) {
      const bool low = lane < 16;
      const std::vector<uint32_t> expected = {low ? 0x00009249u : 0x49240000u,
                                              1,
                                              1,
                                              496,
                                              low ? 7u : 23u,
                                              low ? 0xffffffffu : 0xfffffff0u,
                                              static_cast<uint32_t>(-26),
                                              5,
                                              0xf0,
                                              low ? 0x0000ffffu : 0xffff0000u,
                                              0x7ffffffeu};
      EXPECT_EQ(std::vector<uint32_t>(found.begin() + static_cast<int>(lane) * 11,
                                      found.begin() + static_cast<int>(lane) * 11 + 11),
                expected)
          << "lane " << lane;
    }
  }
}

// The order in which a warp's parts reach different meetings is free.
MICA_KERNEL void divergent_parts(uint32_t* out) {
  const int lane = lane_index();
  uint32_t value = static_cast<uint32_t>(lane);
  if (lane < 8) value = reduce_add(0xffu, value);
  value = reduce_max(kFullWarp, value);
  sync_warp();
  out[lane] = value;
}

TEST(Warp, PartsMayMeetBeforeTheWhole) {
  for (const Schedule& schedule : all_schedules()) {
    TestDevice device(schedule);
    auto* out = device.make<uint32_t>(32);
    launch(device.stream(), {"divergent_parts", {1}, {32}}, divergent_parts, out);
    EXPECT_EQ(device.get(out, 32), std::vector<uint32_t>(32, 31));
  }
}

// Lanes that ended are not waited for.
MICA_KERNEL void early_exit(uint32_t* out) {
  const int lane = lane_index();
  if (lane >= 20) return;
  out[lane] = reduce_add(kFullWarp, 1);
}

TEST(Warp, EndedLanesAreNotWaitedFor) {
  for (const Schedule& schedule : all_schedules()) {
    TestDevice device(schedule);
    auto* out = device.make<uint32_t>(20);
    launch(device.stream(), {"early_exit", {1}, {32}}, early_exit, out);
    EXPECT_EQ(device.get(out, 20), std::vector<uint32_t>(20, 20));
  }
}

TEST(Ptx, IntegerInstructions) {
  EXPECT_EQ(dp4a(0x01ff80'7fu, 0x02'03'80'7fu, 10), 10 + 2 - 3 + 128 * 128 + 127 * 127);
  EXPECT_EQ(dp4a_us(0x01ff80'7fu, 0x02'03'80'7fu, 10), 10 + 2 + 765 - 128 * 128 + 127 * 127);
  EXPECT_EQ(dp4a(0x01010101u, 0x7f7f7f7fu, 0x7fffffff), INT32_MIN + 507);  // wraps
  const uint32_t a = 0x12345678u, b = 0x9abcdef0u, c = 0x0f1e2d3cu;
  EXPECT_EQ((lop3<0xea>(a, b, c)), (a & b) | c);
  EXPECT_EQ((lop3<0x96>(a, b, c)), a ^ b ^ c);
  EXPECT_EQ((lop3<0xca>(a, b, c)), (a & b) | (~a & c));
  EXPECT_EQ(prmt(0x33221100u, 0x77665544u, 0x7531u), 0x77553311u);
  EXPECT_EQ(prmt(0x80221100u, 0x7f665544u, 0xfb04u), 0x00ff0044u);
}

TEST(Ptx, Conversions) {
  EXPECT_EQ(from_float<bf16>(1.00390625f).bits, 0x3f80);  // tie to even
  EXPECT_EQ(from_float<bf16>(1.01171875f).bits, 0x3f82);
  EXPECT_EQ(to_float(bf16{0xc0a0}), -5.0f);
  EXPECT_EQ(from_float<f16>(-5.0f).bits, 0xc500);
  EXPECT_EQ(to_float(f16{0x3555}), 0.333251953125f);
}

}  // namespace
}  // namespace mica::simt

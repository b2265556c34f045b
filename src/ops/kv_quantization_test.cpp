#include "ops/kv_quantization.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "backend_test.h"

namespace mica {
namespace {

// Half of the distance of two numbers of the dtype, relative, at most.
double rounding(DType dtype) {
  return dtype == DType::kBF16 ? 0x1p-8 : dtype == DType::kF16 ? 0x1p-11 : 0x1p-24;
}

struct Stored {
  std::vector<std::byte> codes, pairs;
  KvPlace place() { return {codes.data(), pairs.data()}; }
};

Stored room_for(const KvScheme& scheme, int64_t size) {
  return {std::vector<std::byte>(static_cast<size_t>(scheme.code_bytes(size))),
          std::vector<std::byte>(static_cast<size_t>(scheme.pair_bytes(size)))};
}

// The whole vector there and back.
std::vector<float> round_trip(const std::vector<float>& x, const KvScheme& scheme) {
  const auto size = static_cast<int64_t>(x.size());
  Stored stored = room_for(scheme, size);
  quantize_vector(x.data(), size, scheme, stored.place());
  std::vector<float> out(x.size());
  dequantize_vector(stored.place(), size, scheme, out.data());
  return out;
}

TEST(KvQuantization, RoundTripIsWithinAStep) {
  for (int bits : {8, 4})
    for (int group : {16, 32, 64, 128})
      for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16})
        for (float offset : {0.0f, 3.0f, -50.0f}) {
          const KvScheme scheme = {.bits = bits, .group = group, .dtype = dtype};
          std::vector<float> x = random_values(384, 1);
          for (float& value : x) value += offset;
          const std::vector<float> out = round_trip(x, scheme);
          for (size_t i = 0; i < x.size(); ++i) {
            const auto begin = x.begin() + static_cast<std::ptrdiff_t>(i / group * group);
            const auto [lowest, highest] = std::minmax_element(begin, begin + group);
            const double range = *highest - *lowest;
            const double edge = std::max(std::abs(*lowest), std::abs(*highest));
            // Half a step where the group's ends have codes; that 0 has one too costs the end
            // nearer to 0 up to another half. Scale and bias are rounded.
            const double step = range / ((1 << bits) - 1);
            const double allowed = step + rounding(dtype) * (edge + range) + 1e-6 * edge;
            ASSERT_LE(std::abs(x[i] - out[i]), allowed)
                << bits << " " << group << " " << name(dtype) << " " << offset << " at " << i;
          }
        }
}

TEST(KvQuantization, KnownCodes) {
  // -2 lies farther from 0: it is the bias, and 0 has the code 10 of -2 + 0.2 * code.
  std::vector<float> x(16, 0.0f);
  x[0] = -2;
  x[1] = 1;
  x[2] = 0.5f;
  const KvScheme scheme = {.bits = 4, .group = 16, .dtype = DType::kF32};
  Stored stored = room_for(scheme, 16);
  quantize_vector(x.data(), 16, scheme, stored.place());
  EXPECT_EQ(stored.codes.size(), 16u);  // of which 8 are codes
  const auto code = [&](int i) {
    return std::to_integer<int>(stored.codes[static_cast<size_t>(i / 2)]) >> 4 * (i % 2) & 15;
  };
  EXPECT_EQ(code(0), 0);
  EXPECT_EQ(code(1), 15);
  EXPECT_EQ(code(2), 12);  // 12.5 to even
  EXPECT_EQ(code(3), 10);
  float step[2];
  std::memcpy(step, stored.pairs.data(), sizeof step);
  EXPECT_FLOAT_EQ(step[0], 0.2f);
  EXPECT_EQ(step[1], -2);
}

TEST(KvQuantization, GroupsOfOneValue) {
  for (float value : {0.0f, 1.5f, -3.0f, 1e-20f})
    for (int bits : {8, 4})
      for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
        const std::vector<float> x(32, value);
        for (float found : round_trip(x, {.bits = bits, .group = 32, .dtype = dtype}))
          EXPECT_NEAR(found, value, 1e-7);
      }
}

std::vector<CacheSpec> specs_of(int64_t head_dim, KvQuantOptions options) {
  CacheSpec paged, slot;
  paged.kv_heads = 2;
  paged.head_dim = head_dim;
  slot.kind = CacheSpec::Kind::kSlot;
  slot.slot_bytes = 8;
  return with_quantization({paged, slot}, options);
}

TEST(KvQuantization, GroupsThatDivideTheHead) {
  const auto group = [](int64_t head_dim, int asked) {
    return specs_of(head_dim, {8, asked})[0].scheme.group;
  };
  EXPECT_EQ(group(128, 64), 64);
  EXPECT_EQ(group(128, 128), 128);
  EXPECT_EQ(group(64, 128), 64);
  EXPECT_EQ(group(96, 64), 32);
  EXPECT_EQ(group(80, 64), 16);
  EXPECT_EQ(group(256, 32), 32);
  EXPECT_EQ(specs_of(64, {4, 64})[1].scheme, KvScheme{});
  EXPECT_EQ(specs_of(64, {0, 64})[0].scheme, KvScheme{});
  for (int64_t head_dim : {8, 20, 72, 100}) EXPECT_THROW(specs_of(head_dim, {8, 64}), Error);
  for (const KvQuantOptions& options : {KvQuantOptions{6, 64}, {4, 16}, {8, 0}, {-8, 64}})
    EXPECT_THROW(specs_of(64, options), Error);
}

TEST(KvQuantization, BytesOfAVector) {
  const auto bytes = [](int64_t head_dim, KvQuantOptions options) {
    return specs_of(head_dim, options)[0].vector_bytes();
  };
  EXPECT_EQ(bytes(128, {0, 64}), 256);
  EXPECT_EQ(bytes(128, {8, 64}), 128 + 8);
  EXPECT_EQ(bytes(128, {4, 64}), 64 + 8);
  EXPECT_EQ(bytes(80, {4, 64}), 48 + 20);  // 40 bytes of codes, padded
  EXPECT_EQ(specs_of(128, {4, 32})[0].tensor(5, 32).bytes(), 5u * 2 * 32 * (64 + 16));
}

}  // namespace
}  // namespace mica

#include <gtest/gtest.h>

#include <cstring>

#include "ops/simt/test_backend.h"
#include "tensor/draw.h"

namespace mica {
namespace {

constexpr size_t kGuard = 32;  // bytes behind each tensor that nothing may touch

size_t rounded_up(size_t bytes) {
  return (bytes + 15) / 16 * 16;
}

// The bytes of `out` and `offsets`, each with its guard.
std::vector<std::byte> drawn_on(Backend* device, Draw draw, int threads) {
  const size_t first = rounded_up(draw.out.bytes()) + kGuard;
  const size_t second = draw.kind == DrawKind::kAffine ? first : 0;
  std::vector<std::byte> bytes(first + second, std::byte{0x5a});
  Buffer memory = device ? device->allocate(bytes.size()) : allocate_host(bytes.size());
  if (device)
    device->upload(memory.data(), bytes.data(), bytes.size());
  else
    std::memcpy(memory.data(), bytes.data(), bytes.size());
  draw.out.data = memory.data();
  if (second > 0) draw.offsets = {draw.out.as<std::byte>() + first, draw.out.dtype, draw.out.shape};
  if (device) {
    device->ops().draw(*device, draw);
    device->synchronize();
    device->download(bytes.data(), memory.data(), bytes.size());
  } else {
    draw_on_host(draw, threads);
    std::memcpy(bytes.data(), memory.data(), bytes.size());
  }
  return bytes;
}

void expect_same_bits(const Draw& draw) {
  const auto want = drawn_on(nullptr, draw, 1);
  EXPECT_EQ(want, drawn_on(nullptr, draw, 3));
  for (size_t i = draw.out.bytes(); i < rounded_up(draw.out.bytes()) + kGuard; ++i)
    ASSERT_EQ(want[i], std::byte{0x5a});
  for (const simt::Schedule& schedule : simt::all_schedules(1)) {
    simt::SimtTestBackend backend(DType::kF32, schedule);
    EXPECT_EQ(want, drawn_on(&*backend, draw, 0));
  }
}

// In elements: around one thread's, one block's and one host thread's share.
constexpr int64_t kSizes[] = {1, 2, 7, 8, 9, 130, 1023, 4096, 4099, 70'001};

TEST(SimtDraw, BytesAreThoseOfTheHost) {
  for (const int64_t size : kSizes) {
    SCOPED_TRACE(size);
    expect_same_bits({.out = {nullptr, DType::kU8, {size}}, .seed = 7});
    expect_same_bits(
        {.out = {nullptr, DType::kU8, {size}}, .seed = 7, .mask = 0xbfbfbfbfbfbfbfbfu});
    expect_same_bits({.out = {nullptr, DType::kU32, {size}}, .seed = ~uint64_t{0}});
  }
  // A constant, where no bit is random.
  simt::SimtTestBackend backend(DType::kF32);
  const auto bytes = drawn_on(
      &*backend, {.out = {nullptr, DType::kU8, {33}}, .mask = 0, .fixed = 0x7b7b7b7b7b7b7b7bu}, 0);
  for (size_t i = 0; i < 33; ++i) EXPECT_EQ(bytes[i], std::byte{0x7b});
}

TEST(SimtDraw, NormalsAreThoseOfTheHost) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16})
    for (const int64_t size : kSizes) {
      SCOPED_TRACE(std::string(name(dtype)) + " " + std::to_string(size));
      expect_same_bits({.kind = DrawKind::kNormal,
                        .out = {nullptr, dtype, {size}},
                        .seed = 11,
                        .scale = 0.0221f});
    }
}

// Down to scales that f16 holds as subnormals.
TEST(SimtDraw, ScalesAndOffsetsAreThoseOfTheHost) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16})
    for (const int64_t size : kSizes)
      for (const float scale : {0.01f, 2e-5f}) {
        SCOPED_TRACE(std::string(name(dtype)) + " " + std::to_string(size));
        expect_same_bits({.kind = DrawKind::kAffine,
                          .out = {nullptr, dtype, {size}},
                          .seed = 13,
                          .scale = scale,
                          .middle = 7.5f});
      }
}

}  // namespace
}  // namespace mica

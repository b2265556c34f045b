// The frame of the GPU backends, on the emulator's device.
#include "ops/cuda/gpu_backend.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "ops/simt/simt_backend.h"

namespace mica {
namespace {

std::unique_ptr<Backend> make(uint64_t seed = 0) {
  return simt::make_backend({}, {.schedule = {.order = simt::Order::kRandom, .seed = seed}});
}

// What is uploaded may change as soon as upload returns, also when the device is late.
TEST(GpuBackend, UploadsAreCopiedAtOnce) {
  for (uint64_t seed : {1, 2, 3}) {
    const auto backend = make(seed);
    constexpr size_t kCount = 5 << 20;  // 20 MiB, several slots and threads
    std::vector<uint32_t> values(kCount);
    const Buffer device = backend->allocate(kCount * 4);
    for (uint32_t round = 1; round <= 3; ++round) {
      std::iota(values.begin(), values.end(), round);
      backend->upload(device.data(), values.data(), kCount * 4);
      std::ranges::fill(values, 0);
    }
    backend->download(values.data(), device.data(), kCount * 4);
    for (size_t i = 0; i < kCount; ++i) ASSERT_EQ(values[i], i + 3);
  }
}

TEST(GpuBackend, ScratchStaysWhereItWas) {
  const auto backend = make();
  auto& gpu = gpu::as_gpu(*backend);
  std::byte* small = gpu.scratch(1000);
  EXPECT_EQ(gpu.scratch(900), small);
  std::byte* large = gpu.scratch(100000);
  EXPECT_NE(large, small);
  std::memset(small, 1, 1000);  // a recording may still use it
  EXPECT_EQ(gpu.scratch(5), large);
}

TEST(GpuBackend, OutOfMemoryIsNamed) {
  const auto backend = simt::make_backend({}, {.memory_bytes = 64 << 20});
  try {
    backend->allocate(65 << 20);
    FAIL() << "allocated";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutOfMemory);
  }
  EXPECT_NO_THROW(backend->allocate(1 << 20));
}

}  // namespace
}  // namespace mica

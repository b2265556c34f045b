// What gpu::Device, Stream, Event, Graph and Gemm promise, asked of the emulator and, where this
// machine has a GPU, of CUDA.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <thread>

#include "base/error.h"
#include "ops/cuda/native/device.h"
#include "ops/cuda/native/gemm.h"
#include "ops/cuda/native/status.h"
#include "ops/cuda/ptx_check.h"
#include "ops/simt/device.h"
#include "ops/simt/gemm.h"

namespace mica {
namespace {

using gpu::PtxCheck;

struct Runtime {
  const char* name;
  std::unique_ptr<gpu::Device> (*make_device)();
  std::unique_ptr<gpu::Gemm> (*make_gemm)(gpu::Device&);
  void (*ptx_check)(gpu::Stream&, const PtxCheck&);
};

const Runtime kSimt = {"simt", [] { return simt::make_device({.must_wait = true}); },
                       [](gpu::Device&) { return simt::make_gemm(); }, simt::ptx_check};
const Runtime kCuda = {
    "cuda", []() -> std::unique_ptr<gpu::Device> { return cuda::open_device("cuda"); },
    [](gpu::Device& device) { return cuda::make_gemm(dynamic_cast<cuda::CudaDevice&>(device)); },
    cuda::ptx_check};

class RuntimeTest : public testing::TestWithParam<Runtime> {
 protected:
  void SetUp() override {
    try {
      device_ = GetParam().make_device();
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    stream_ = device_->make_stream();
  }

  template <typename T>
  T* put(const std::vector<T>& values) {
    buffers_.push_back(device_->allocate(values.size() * sizeof(T)));
    auto* data = static_cast<T*>(buffers_.back().data());
    stream_->copy(data, values.data(), values.size() * sizeof(T));
    stream_->synchronize();
    return data;
  }
  template <typename T>
  std::vector<T> get(const T* data, size_t count) {
    std::vector<T> values(count);
    stream_->copy(values.data(), data, count * sizeof(T));
    stream_->synchronize();
    return values;
  }

  std::unique_ptr<gpu::Device> device_;
  std::vector<Buffer> buffers_;
  std::unique_ptr<gpu::Stream> stream_;
};

INSTANTIATE_TEST_SUITE_P(Twins, RuntimeTest, testing::Values(kSimt, kCuda),
                         [](const auto& info) { return info.param.name; });

TEST_P(RuntimeTest, PropertiesAreSet) {
  const gpu::DeviceProperties p = device_->properties();
  EXPECT_FALSE(p.name.empty());
  EXPECT_GE(p.compute_capability, 80);
  EXPECT_GE(p.multiprocessors, 1);
  EXPECT_EQ(p.threads_per_block, 1024);
  EXPECT_GE(p.shared_bytes, 99u * 1024);
  EXPECT_GT(p.memory_free, 0u);
  EXPECT_LE(p.memory_free, p.memory_total);
}

TEST_P(RuntimeTest, WorkOfAStreamRunsInOrder) {
  auto* values = put(std::vector<uint32_t>(100, 1));
  Buffer pinned = device_->allocate_pinned(400);
  bool called = false;
  stream_->fill(values, 2, 200);
  stream_->copy(pinned.data(), values, 400);
  stream_->call([&] { called = static_cast<uint32_t*>(pinned.data())[49] == 0x02020202u; });
  stream_->copy(values, pinned.data(), 0);
  stream_->synchronize();
  EXPECT_TRUE(called);
  const auto found = get(values, 100);
  EXPECT_EQ(found[0], 0x02020202u);
  EXPECT_EQ(found[50], 1u);
}

TEST_P(RuntimeTest, EventsOrderStreams) {
  const auto other = device_->make_stream();
  const auto event = device_->make_event();
  EXPECT_TRUE(event->done());
  event->synchronize();
  for (int round = 0; round < 20; ++round) {
    int value = 0, seen = 0;
    stream_->call([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      value = 7;
    });
    stream_->record(*event);
    other->wait(*event);
    other->call([&] { seen = value; });
    other->synchronize();
    EXPECT_EQ(seen, 7);
    EXPECT_TRUE(event->done());
    stream_->synchronize();
  }
}

TEST_P(RuntimeTest, AThrowingCallReachesWhoWaits) {
  const auto throwing = [&] {
    stream_->call([] { throw Error(ErrorKind::kInternal, "thrown in the stream"); });
    stream_->synchronize();
  };
  EXPECT_THROW(throwing(), Error);
  stream_->synchronize();  // once only
}

TEST_P(RuntimeTest, GraphsReplayWhatWasCaptured) {
  auto* values = put(std::vector<uint32_t>(64, 5));
  auto* target = put(std::vector<uint32_t>(64));
  int calls = 0;
  stream_->begin_capture();
  stream_->copy(target, values, 128);
  stream_->fill(target, 1, 64);
  stream_->call([&] { ++calls; });
  auto graph = stream_->end_capture();
  EXPECT_EQ(graph->nodes(), 3u);
  EXPECT_EQ(get(target, 64), std::vector<uint32_t>(64));
  EXPECT_EQ(calls, 0);
  for (int i = 0; i < 3; ++i) stream_->replay(*graph);
  graph.reset();  // while it may still run
  std::vector<uint32_t> expected(64);
  std::fill_n(expected.begin(), 32, 5);
  std::fill_n(expected.begin(), 16, 0x01010101u);
  EXPECT_EQ(get(target, 64), expected);
  EXPECT_EQ(calls, 3);
}

TEST_P(RuntimeTest, MemoryCanBeAllocatedDuringACapture) {
  stream_->begin_capture();
  Buffer buffer = device_->allocate(256);
  stream_->fill(buffer.data(), 3, 256);
  const auto graph = stream_->end_capture();
  stream_->replay(*graph);
  EXPECT_EQ(get(static_cast<uint8_t*>(buffer.data()), 256), std::vector<uint8_t>(256, 3));
}

TEST_P(RuntimeTest, TooMuchMemoryIsRefusedWithBothNumbers) {
  constexpr size_t kWanted = size_t{1} << 50;
  try {
    device_->allocate(kWanted);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutOfMemory);
    const std::string text = error.what();
    EXPECT_NE(text.find(std::to_string(kWanted)), std::string::npos) << text;
    EXPECT_NE(text.find("free"), std::string::npos) << text;
  }
  EXPECT_EQ(get(put(std::vector<int>{4}), 1), std::vector<int>{4});  // the device goes on
}

TEST_P(RuntimeTest, AnyThreadMayUseTheDevice) {
  auto* values = put(std::vector<uint8_t>(64));
  std::thread([&] {
    Buffer own = device_->allocate(64);
    stream_->fill(own.data(), 9, 64);
    stream_->copy(values, own.data(), 64);
    stream_->synchronize();
  }).join();
  EXPECT_EQ(get(values, 64), std::vector<uint8_t>(64, 9));
}

// Every instruction wrapper, at once and from a graph: the emulator's bits.
TEST_P(RuntimeTest, KernelsGiveTheEmulatorsBits) {
  std::mt19937 random(17);
  std::vector<uint32_t> in(PtxCheck::kThreads * 4);
  for (uint32_t& word : in) word = static_cast<uint32_t>(random());
  constexpr size_t kOut = PtxCheck::kThreads * PtxCheck::kWords;
  const bool e4m3 = device_->properties().compute_capability >= 89;

  const auto check_on = [&](const Runtime& runtime, gpu::Device& device, bool captured) {
    const auto stream = device.make_stream();
    Buffer memory = device.allocate((in.size() + kOut + 4) * 4);
    auto* words = static_cast<uint32_t*>(memory.data());
    uint32_t* out = words + in.size();
    stream->copy(words, in.data(), in.size() * 4);
    stream->fill(out, 0, (kOut + 4) * 4);
    const PtxCheck check = {.in = words, .out = out, .counters = out + kOut, .e4m3 = e4m3};
    if (captured) {
      stream->begin_capture();
      runtime.ptx_check(*stream, check);
      stream->replay(*stream->end_capture());
    } else {
      runtime.ptx_check(*stream, check);
    }
    std::vector<uint32_t> found(kOut + 4);
    stream->copy(found.data(), out, found.size() * 4);
    stream->synchronize();
    return found;
  };
  const auto emulator = kSimt.make_device();
  const auto expected = check_on(kSimt, *emulator, false);
  EXPECT_EQ(check_on(GetParam(), *device_, false), expected);
  EXPECT_EQ(check_on(GetParam(), *device_, true), expected);
}

struct Product {
  DType in, out;
  int64_t m, n, k, c_stride;
  bool add;
};

std::vector<std::byte> as_bytes(const std::vector<float>& values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  from_f32(values.data(), static_cast<int64_t>(values.size()), dtype, bytes.data());
  return bytes;
}

std::vector<float> as_floats(const std::vector<std::byte>& bytes, DType dtype) {
  std::vector<float> values(bytes.size() / size_of(dtype));
  to_f32(bytes.data(), dtype, static_cast<int64_t>(values.size()), values.data());
  return values;
}

std::vector<float> random_floats(int64_t count, DType dtype) {
  static std::mt19937 random(5);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = uniform(random);
  return as_floats(as_bytes(values, dtype), dtype);
}

double expected_element(const Product& p, const std::vector<float>& a, const std::vector<float>& b,
                        int64_t row, int64_t column) {
  double sum = 0;
  for (int64_t i = 0; i < p.k; ++i)
    sum += static_cast<double>(a[static_cast<size_t>(row * p.k + i)]) *
           static_cast<double>(b[static_cast<size_t>(column * p.k + i)]);
  return sum;
}

TEST_P(RuntimeTest, ProductsAreRight) {
  const auto gemm = GetParam().make_gemm(*device_);
  if (!gemm->available()) GTEST_SKIP() << "no cuBLASLt";
  for (const Product& p : {Product{DType::kBF16, DType::kBF16, 5, 24, 64, 24, false},
                           Product{DType::kBF16, DType::kF32, 17, 40, 48, 64, true},
                           Product{DType::kF16, DType::kF16, 33, 8, 128, 16, true},
                           Product{DType::kF16, DType::kF32, 1, 16, 32, 16, false},
                           Product{DType::kF32, DType::kF32, 7, 9, 31, 10, true},
                           Product{DType::kBF16, DType::kBF16, 0, 24, 64, 24, false}}) {
    const auto a = random_floats(p.m * p.k, p.in), b = random_floats(p.n * p.k, p.in);
    const auto before = random_floats(p.m * p.c_stride, p.out);
    const auto initial = as_bytes(before, p.out);
    std::byte* c = put(initial);
    for (int run = 0; run < 2; ++run) {  // the second takes the algorithm of the first
      stream_->copy(c, initial.data(), initial.size());
      gemm->run(*stream_, {.a = put(as_bytes(a, p.in)),
                           .b = put(as_bytes(b, p.in)),
                           .c = c,
                           .in = p.in,
                           .out = p.out,
                           .m = p.m,
                           .n = p.n,
                           .k = p.k,
                           .c_stride = p.c_stride,
                           .add = p.add});
      const auto found = as_floats(get(c, initial.size()), p.out);
      const double epsilon = p.out == DType::kBF16 ? 8e-3 : p.out == DType::kF16 ? 1e-3 : 1e-5;
      for (int64_t row = 0; row < p.m; ++row)
        for (int64_t column = 0; column < p.c_stride; ++column) {
          const auto i = static_cast<size_t>(row * p.c_stride + column);
          if (column >= p.n) {
            EXPECT_EQ(found[i], before[i]);
            continue;
          }
          const double expected = expected_element(p, a, b, row, column) +
                                  (p.add ? static_cast<double>(before[i]) : 0.0);
          EXPECT_NEAR(found[i], expected, epsilon * (1 + std::abs(expected)));
        }
    }
  }
}

}  // namespace
}  // namespace mica

// Faults planted in kernels, each of which the emulator must catch, beside the right kernel.
#include <algorithm>
#include <cmath>
#include <random>

#include "ops/cuda/vector.h"
#include "ops/simt/simt_test.h"
#include "tensor/dtype.h"

namespace mica::simt {
namespace {

enum class Fault { kNone, kPlanted };

// How many of the schedules give another result than `expected`.
template <typename F>
int wrong_schedules(F&& run, const std::vector<float>& expected) {
  int wrong = 0;
  for (const Schedule& schedule : all_schedules()) wrong += run(schedule) != expected;
  return wrong;
}

std::vector<float> numbers(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i + 1);
  return values;
}

// Reverses each block of 128 by shared memory.
template <Fault kFault>
MICA_KERNEL void reverse(const float* in, float* out) {
  Shared shared;
  auto* tile = shared.take<float>(128);
  const int thread = static_cast<int>(thread_index().x);
  tile[thread] = in[thread];
  if constexpr (kFault == Fault::kNone) sync_threads();
  out[thread] = tile[127 - thread];
}

template <Fault kFault>
int wrong_reversals() {
  std::vector<float> expected = numbers(128);
  std::reverse(expected.begin(), expected.end());
  return wrong_schedules(
      [](const Schedule& schedule) {
        TestDevice device(schedule);
        const float* in = device.put(numbers(128));
        auto* out = device.make<float>(128);
        launch(device.stream(), {"reverse", {1}, {128}, shared_bytes<float>(128)}, reverse<kFault>,
               in, out);
        return device.get(out, 128);
      },
      expected);
}

TEST(Planted, MissingSyncThreads) {
  EXPECT_EQ(wrong_reversals<Fault::kNone>(), 0);
  EXPECT_GE(wrong_reversals<Fault::kPlanted>(), 6);  // of 8
}

// Each thread fetches and reads its own 16 bytes.
template <Fault kFault>
MICA_KERNEL void fetch(const float* in, float* out) {
  Shared shared;
  auto* tile = shared.take<float>(128);
  const int lane = lane_index();
  cp_async<16>(tile + lane * 4, in + lane * 4);
  cp_async_commit();
  if constexpr (kFault == Fault::kNone) cp_async_wait<0>();
  for (int i = 0; i < 4; ++i) out[lane * 4 + i] = tile[lane * 4 + i];
  if constexpr (kFault != Fault::kNone) cp_async_wait<0>();
}

template <Fault kFault>
int wrong_fetches() {
  return wrong_schedules(
      [](const Schedule& schedule) {
        TestDevice device(schedule);
        const float* in = device.put(numbers(128));
        auto* out = device.make<float>(128);
        launch(device.stream(), {"fetch", {1}, {32}, shared_bytes<float>(128)}, fetch<kFault>, in,
               out);
        return device.get(out, 128);
      },
      numbers(128));
}

TEST(Planted, MissingCopyWait) {
  EXPECT_EQ(wrong_fetches<Fault::kNone>(), 0);
  EXPECT_EQ(wrong_fetches<Fault::kPlanted>(), 8);
}

MICA_KERNEL void never_waits(const float* in) {
  Shared shared;
  auto* tile = shared.take<float>(4);
  cp_async<4>(tile, in);
  cp_async_commit();
}

TEST(Planted, CopyThatIsNeverWaitedFor) {
  TestDevice device;
  const float* in = device.put(numbers(1));
  const std::string fault = fault_of([&] {
    launch(device.stream(), {"never_waits", {1}, {1}, shared_bytes<float>(4)}, never_waits, in);
    device.stream().synchronize();
  });
  expect_contains(fault, "ended before it waited for its cp.async");
}

template <Fault kFault>
MICA_KERNEL void overrun(float* out) {
  Shared shared;
  auto* first = shared.take<float>(32);
  auto* second = shared.take<float>(32);
  const int lane = lane_index();
  first[lane + (kFault == Fault::kNone ? 0 : 1)] = 1;
  second[lane] = 2;
  sync_warp();
  out[lane] = first[lane] + second[lane];
}

template <Fault kFault>
std::string overrun_fault() {
  TestDevice device;
  auto* out = device.make<float>(32);
  return fault_of([&] {
    launch(device.stream(), {"overrun", {1}, {32}, 2 * shared_bytes<float>(32)}, overrun<kFault>,
           out);
    device.stream().synchronize();
  });
}

TEST(Planted, WriteBeyondASharedArray) {
  EXPECT_EQ(overrun_fault<Fault::kNone>(), "");
  if (kAsan) {
    EXPECT_DEATH(overrun_fault<Fault::kPlanted>(), "use-after-poison");
    return;
  }
  const std::string fault = overrun_fault<Fault::kPlanted>();
  expect_contains(fault, "kernel 'overrun' block (0, 0, 0): write");
  expect_contains(fault, "past the end of the shared array taken at");
  expect_contains(fault, "fault_test.cpp:");
}

// d[16, 8] = a[16, 16] * b[16, 8], a and b as bf16 bits in row order. The fault: the registers of
// the lower rows and of the right columns of a, exchanged.
template <Fault kFault>
MICA_KERNEL void small_product(const uint16_t* a, const uint16_t* b, float* d) {
  const int g = lane_index() / 4, t = lane_index() % 4;
  const auto pair_a = [&](int row, int column) {
    return static_cast<uint32_t>(a[row * 16 + column]) |
           static_cast<uint32_t>(a[row * 16 + column + 1]) << 16;
  };
  const auto pair_b = [&](int row) {
    return static_cast<uint32_t>(b[row * 8 + g]) | static_cast<uint32_t>(b[row * 8 + 8 + g]) << 16;
  };
  const uint32_t below = pair_a(g + 8, 2 * t), right = pair_a(g, 2 * t + 8);
  const bool right_order = kFault == Fault::kNone;
  const uint32_t ra[4] = {pair_a(g, 2 * t), right_order ? below : right,
                          right_order ? right : below, pair_a(g + 8, 2 * t + 8)};
  const uint32_t rb[2] = {pair_b(2 * t), pair_b(2 * t + 8)};
  float sum[4] = {};
  mma_m16n8k16_bf16(sum, ra, rb);
  for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}

// The largest difference from the product in f64.
template <Fault kFault>
double product_error() {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<uint16_t> a(256), b(128);
  for (uint16_t& bits : a) bits = f32_to_bf16(normal(random));
  for (uint16_t& bits : b) bits = f32_to_bf16(normal(random));
  TestDevice device;
  auto* d = device.make<float>(128);
  launch(device.stream(), {"small_product", {1}, {32}}, small_product<kFault>, device.put(a),
         device.put(b), d);
  const auto found = device.get(d, 128);
  double error = 0;
  for (size_t i = 0; i < 16; ++i)
    for (size_t j = 0; j < 8; ++j) {
      double sum = 0;
      for (size_t k = 0; k < 16; ++k)
        sum += static_cast<double>(bf16_to_f32(a[i * 16 + k])) * bf16_to_f32(b[k * 8 + j]);
      error = std::max(error, std::abs(sum - found[i * 8 + j]));
    }
  return error;
}

TEST(Planted, WrongMmaLane) {
  EXPECT_LT(product_error<Fault::kNone>(), 1e-4);
  EXPECT_GT(product_error<Fault::kPlanted>(), 1);
}

// Runs a kernel of one block under every schedule, and expects each to report all parts.
template <typename... P>
void expect_fault(const char* name, void (*kernel)(P...), uint32_t threads,
                  const std::vector<std::string>& parts, P... arguments) {
  for (const Schedule& schedule : all_schedules()) {
    TestDevice device(schedule);
    const std::string fault = fault_of([&] {
      launch(device.stream(), {name, {1}, {threads}, 1024}, kernel, arguments...);
      device.stream().synchronize();
    });
    for (const std::string& part : parts) expect_contains(fault, part);
  }
}

std::string here(int line) {
  return "fault_test.cpp:" + std::to_string(line);
}

constexpr int kDivergentLine = __LINE__ + 4;
MICA_KERNEL void divergent_barrier(int) {
  const uint32_t thread = thread_index().x;
  if (thread < 33)
    sync_threads();
  else
    sync_threads();
}

TEST(Fault, DivergentBarrier) {
  expect_fault("divergent_barrier", divergent_barrier, 64,
               {"kernel 'divergent_barrier' block (0, 0, 0) thread (", "divergent barrier",
                here(kDivergentLine), here(kDivergentLine + 2)},
               0);
}

MICA_KERNEL void inactive_lane(int) {
  const int lane = lane_index();
  if (lane < 16) shuffle(0xffffu, 1, lane + 1);
}
MICA_KERNEL void ended_lane(int) {
  const int lane = lane_index();
  if (lane == 7) return;
  shuffle_xor(kFullWarp, 1, 1);
}

TEST(Fault, ShuffleFromAnInactiveLane) {
  expect_fault("inactive_lane", inactive_lane, 32,
               {"lane 15 reads lane 16, which takes no part", "fault_test.cpp:"}, 0);
  expect_fault("ended_lane", ended_lane, 32, {"lane 6 reads lane 7, which takes no part"}, 0);
}

MICA_KERNEL void foreign_mask(int) {
  ballot(0xfffffffeu, true);
}
MICA_KERNEL void mixed_operations(int) {
  if (lane_index() < 4)
    ballot(kFullWarp, true);
  else
    reduce_add(kFullWarp, 1);
}

TEST(Fault, WarpOperations) {
  expect_fault("foreign_mask", foreign_mask, 32, {"lacks the calling lane 0"}, 0);
  expect_fault("mixed_operations", mixed_operations, 32,
               {"divergent warp", "vote.sync", "redux.sync.add"}, 0);
}

MICA_KERNEL void partial_mma(int) {
  float d[4] = {};
  const uint32_t a[4] = {}, b[2] = {};
  mma_m16n8k16_bf16(d, a, b);
}

TEST(Fault, MmaNeedsAllLanes) {
  expect_fault("partial_mma", partial_mma, 31, {"mma.m16n8k16.bf16 without all lanes", "7fffffff"},
               0);
}

constexpr int kDeadlockLine = __LINE__ + 3;
MICA_KERNEL void deadlock(int) {
  if (thread_index().x < 32)
    sync_threads();
  else if (thread_index().x < 40)
    sync_warp();
  else
    barrier_sync(3, 64);
}

TEST(Fault, DeadlockSaysWhereThreadsStand) {
  expect_fault("deadlock", deadlock, 64,
               {"deadlock", "threads 0 to 31 wait for __syncthreads at", here(kDeadlockLine),
                "threads 32 to 39 wait for __syncwarp at", here(kDeadlockLine + 2),
                "threads 40 to 63 wait for a named barrier at", here(kDeadlockLine + 4)},
               0);
}

MICA_KERNEL void endless_spin(const uint32_t* flag) {
  if (thread_index().x == 0) {
    while (load_acquire(flag) == 0) {
    }
  }
  sync_threads();
}

TEST(Fault, EndlessSpin) {
  TestDevice device({.spin_limit = std::chrono::milliseconds(20)});
  const uint32_t* flag = device.put(std::vector<uint32_t>{0});
  const std::string fault = fault_of([&] {
    launch(device.stream(), {"endless_spin", {1}, {32}}, endless_spin, flag);
    device.stream().synchronize();
  });
  expect_contains(fault, "waits for what no thread does");
  expect_contains(fault, "threads 1 to 31 wait for __syncthreads");
}

MICA_KERNEL void large_array(int) {
  Shared shared;
  shared.take<float>(300);
}
MICA_KERNEL void unlike_arrays(int) {
  Shared shared;
  shared.take<float>(thread_index().x == 5 ? 8 : 4);
}
MICA_KERNEL void crooked_copy(int) {
  Shared shared;
  auto* bytes = shared.take<uint8_t>(64);
  cp_async<16>(bytes + 8, bytes, 0);
}
MICA_KERNEL void copy_beyond(int) {
  Shared shared;
  auto* bytes = shared.take<uint8_t>(24);
  cp_async<16>(bytes + 16, bytes, 0);
}
MICA_KERNEL void crooked_ldmatrix(int) {
  Shared shared;
  auto* bytes = shared.take<uint8_t>(512);
  uint32_t d[1];
  ldmatrix<1>(d, bytes + lane_index() * 8);
}

TEST(Fault, SharedMemory) {
  expect_fault("large_array", large_array, 32, {"ends at byte 1200", "shared_bytes 1024"}, 0);
  expect_fault("unlike_arrays", unlike_arrays, 32, {"shared array 0 has", "fault_test.cpp:"}, 0);
  expect_fault("crooked_copy", crooked_copy, 1, {"no multiples"}, 0);
  expect_fault("copy_beyond", copy_beyond, 1, {"into no array of shared memory"}, 0);
  expect_fault("crooked_ldmatrix", crooked_ldmatrix, 32, {"no multiple of 16"}, 0);
}

MICA_KERNEL void waits_in_block_0(int) {
  if (block_index().x == 0) grid_dependency_wait();
}

TEST(Fault, BlockThatDoesNotWaitForEarlierGrids) {
  const auto device = make_device({.must_wait = true});
  const auto stream = device->make_stream();
  const auto run = [&](uint32_t blocks) {
    return fault_of([&] {
      launch(*stream, {"waits_in_block_0", {blocks}, {32}}, waits_in_block_0, 0);
      stream->synchronize();
    });
  };
  EXPECT_EQ(run(1), "");
  expect_contains(run(2), "block (1, 0, 0): ended without grid_dependency_wait");
}

constexpr int kCrookedLine = __LINE__ + 4;
MICA_KERNEL void crooked_load(int bytes) {
  Shared shared;
  auto* array = shared.take<uint8_t>(64);
  const Bytes16 v = load16(array + bytes);
  store16(array + 32 - bytes, v);
}
MICA_KERNEL void crooked_store(int bytes) {
  Shared shared;
  auto* array = shared.take<uint8_t>(64);
  store16(array + bytes, {});
}
MICA_KERNEL void crooked_values(int bytes) {
  Shared shared;
  auto* array = shared.take<uint8_t>(64);
  float values[4];
  load_values(reinterpret_cast<const bf16*>(array + bytes), values);
  store_values(reinterpret_cast<float*>(array), values);
}

TEST(Fault, MisalignedAccess) {
  expect_fault(
      "crooked_load", crooked_load, 32,
      {"an access of 16 bytes at an address that is no multiple of it", here(kCrookedLine)}, 8);
  expect_fault("crooked_store", crooked_store, 32, {"16 bytes"}, 1);
  expect_fault("crooked_values", crooked_values, 32, {"8 bytes", "fault_test.cpp:"}, 4);
}

MICA_KERNEL void throws_in_one_block(int bad) {
  sync_threads();
  if (static_cast<int>(block_index().x) == bad && thread_index().x == 3) ballot(1, true);
}

TEST(Fault, OfOneBlockIsReportedAndTheDeviceGoesOn) {
  for (Schedule schedule : all_schedules())
    for (int os_threads : {1, 4}) {
      schedule.os_threads = os_threads;
      TestDevice device(schedule);
      for (int round = 0; round < 3; ++round) {
        const std::string fault = fault_of([&] {
          launch(device.stream(), {"throws", {9}, {64}}, throws_in_one_block, 4);
          device.stream().synchronize();
        });
        expect_contains(fault, "kernel 'throws' block (4, 0, 0) thread (3, 0, 0)");
        launch(device.stream(), {"throws", {9}, {64}}, throws_in_one_block, -1);
        device.stream().synchronize();
      }
    }
}

}  // namespace
}  // namespace mica::simt

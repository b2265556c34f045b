#include <algorithm>
#include <numeric>

#include "ops/simt/simt_test.h"

namespace mica::simt {
namespace {

// Sums `count` values in a tree over the block, and blocks into *total by atomics.
MICA_KERNEL void block_sum(const float* values, int count, float* sums, uint32_t* blocks_done) {
  Shared shared;
  auto* partial = shared.take<float>(block_size().x);
  const int thread = static_cast<int>(thread_index().x);
  const int block = static_cast<int>(block_index().x);
  float sum = 0;
  for (int i = block * 1000 + thread; i < std::min(count, (block + 1) * 1000);
       i += static_cast<int>(block_size().x))
    sum += values[i];
  partial[thread] = sum;
  sync_threads();
  for (int width = static_cast<int>(block_size().x) / 2; width > 0; width /= 2) {
    if (thread < width) partial[thread] += partial[thread + width];
    sync_threads();
  }
  if (thread == 0) {
    sums[block] = partial[0];
    atom_add(blocks_done, 1);
  }
}

std::vector<float> run_sums(const Schedule& schedule, uint32_t* blocks_done) {
  std::vector<float> values(7321);
  std::iota(values.begin(), values.end(), 1.0f);
  TestDevice device(schedule);
  const float* in = device.put(values);
  auto* sums = device.make<float>(8);
  uint32_t* done = device.put(std::vector<uint32_t>{0});
  launch(device.stream(), {"block_sum", {8}, {128}, shared_bytes<float>(128)}, block_sum, in, 7321,
         sums, done);
  *blocks_done = device.get(done, 1)[0];
  return device.get(sums, 8);
}

TEST(Block, EveryScheduleGivesTheSameSums) {
  std::vector<float> expected;
  for (int block = 0; block < 8; ++block) {
    const int begin = block * 1000, end = std::min(7321, begin + 1000);
    expected.push_back(static_cast<float>((begin + 1 + end) * (end - begin) / 2));
  }
  for (Schedule schedule : all_schedules(20))
    for (int os_threads : {1, 2, 5}) {
      schedule.os_threads = os_threads;
      uint32_t done = 0;
      EXPECT_EQ(run_sums(schedule, &done), expected);
      EXPECT_EQ(done, 8u);
    }
}

// Which thread passed in which place: the schedule itself.
MICA_KERNEL void trace(uint32_t* counter, uint32_t* order) {
  for (int round = 0; round < 3; ++round) {
    order[atom_add(counter, 1)] = thread_index().x;
    sync_warp();
  }
}

std::vector<uint32_t> run_trace(const Schedule& schedule) {
  TestDevice device(schedule);
  uint32_t* counter = device.put(std::vector<uint32_t>{0});
  auto* order = device.make<uint32_t>(192);
  launch(device.stream(), {"trace", {1}, {64}}, trace, counter, order);
  return device.get(order, 192);
}

TEST(Block, OrderFollowsTheSeed) {
  const auto first = run_trace({.order = Order::kRandom, .seed = 1});
  EXPECT_EQ(first, run_trace({.order = Order::kRandom, .seed = 1}));
  EXPECT_NE(first, run_trace({.order = Order::kRandom, .seed = 2}));
  const auto forward = run_trace({.order = Order::kForward});
  const auto reverse = run_trace({.order = Order::kReverse});
  for (uint32_t i = 0; i < 64; ++i) {
    EXPECT_EQ(forward[i], i);
    EXPECT_EQ(reverse[i], 63 - i);
  }
}

// One warp fills a tile and tells the other by a named barrier.
MICA_KERNEL void producer(const uint32_t* in, uint32_t* out) {
  Shared shared;
  auto* tile = shared.take<uint32_t>(32);
  const int lane = lane_index();
  for (int round = 0; round < 4; ++round) {
    if (warp_index() == 0) {
      tile[lane] = in[round * 32 + lane];
      barrier_arrive(1, 64);
      barrier_sync(2, 64);
    } else {
      barrier_sync(1, 64);
      out[round * 32 + lane] = tile[31 - lane];
      barrier_sync(2, 64);
    }
  }
}

TEST(Block, NamedBarriers) {
  std::vector<uint32_t> values(128);
  std::iota(values.begin(), values.end(), 0u);
  for (const Schedule& schedule : all_schedules(20)) {
    TestDevice device(schedule);
    const uint32_t* in = device.put(values);
    auto* out = device.make<uint32_t>(128);
    launch(device.stream(), {"producer", {1}, {64}, shared_bytes<uint32_t>(32)}, producer, in, out);
    const auto found = device.get(out, 128);
    for (uint32_t i = 0; i < 128; ++i) EXPECT_EQ(found[i], i / 32 * 32 + 31 - i % 32);
  }
}

// Threads that ended do not count at a barrier.
MICA_KERNEL void some_end(uint32_t* out) {
  Shared shared;
  auto* tile = shared.take<uint32_t>(96);
  const uint32_t thread = thread_index().x;
  tile[thread] = thread;
  sync_threads();
  if (thread >= 40) return;
  out[thread] = tile[95 - thread];
  sync_threads();
  out[thread] += 1;
}

TEST(Block, EndedThreadsAreNotWaitedFor) {
  for (const Schedule& schedule : all_schedules()) {
    TestDevice device(schedule);
    auto* out = device.make<uint32_t>(40);
    launch(device.stream(), {"some_end", {1}, {96}, shared_bytes<uint32_t>(96)}, some_end, out);
    const auto found = device.get(out, 40);
    for (uint32_t i = 0; i < 40; ++i) EXPECT_EQ(found[i], 96 - i);
  }
}

// A double-buffered stream of tiles through cp.async, the last of them short.
MICA_KERNEL void copy_tiles(const uint32_t* in, int count, uint32_t* out) {
  Shared shared;
  auto* tiles = shared.take<Bytes16>(2 * 32);
  const int lane = lane_index();
  const int tile_count = (count + 127) / 128;
  const auto fetch = [&](int tile) {
    const int left = count - tile * 128 - lane * 4;  // words
    const int words = left < 0 ? 0 : left > 4 ? 4 : left;
    cp_async<16>(&tiles[tile % 2 * 32 + lane], in + (words ? tile * 128 + lane * 4 : 0), words * 4);
    cp_async_commit();
  };
  fetch(0);
  for (int tile = 0; tile < tile_count; ++tile) {
    if (tile + 1 < tile_count) {
      fetch(tile + 1);
      cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
    sync_warp();
    const Bytes16 v = tiles[tile % 2 * 32 + 31 - lane];
    for (int i = 0; i < 4; ++i) out[(tile * 32 + 31 - lane) * 4 + i] = v.word[i];
    sync_warp();
  }
}

TEST(Block, AsynchronousCopies) {
  std::vector<uint32_t> values(1003);
  std::iota(values.begin(), values.end(), 1u);
  for (const Schedule& schedule : all_schedules(20)) {
    TestDevice device(schedule);
    const uint32_t* in = device.put(values);
    auto* out = device.make<uint32_t>(1024);
    launch(device.stream(), {"copy_tiles", {1}, {32}, shared_bytes<Bytes16>(64)}, copy_tiles, in,
           1003, out);
    const auto found = device.get(out, 1024);
    for (uint32_t i = 0; i < 1024; ++i) EXPECT_EQ(found[i], i < 1003 ? i + 1 : 0);
  }
}

// Blocks that wait for a word which a block before them writes.
MICA_KERNEL void chain(uint32_t* flag) {
  if (thread_index().x != 0) return;
  const uint32_t block = block_index().x;
  while (load_acquire(flag) != block) {
  }
  store_release(flag, block + 1);
}

TEST(Block, SpinsLetOthersRun) {
  TestDevice device({.order = Order::kForward, .os_threads = 3});
  uint32_t* flag = device.put(std::vector<uint32_t>{0});
  launch(device.stream(), {"chain", {6}, {32}}, chain, flag);
  EXPECT_EQ(device.get(flag, 1)[0], 6u);
}

MICA_KERNEL void places(uint32_t* out) {
  const Dim3 t = thread_index(), b = block_index(), n = block_size(), g = grid_size();
  const uint32_t thread = t.x + n.x * (t.y + n.y * t.z);
  const uint32_t block = b.x + g.x * (b.y + g.y * b.z);
  out[block * 30 + thread] = block * 100 + thread;
}

TEST(Block, ThreeDimensions) {
  for (const Schedule& schedule : all_schedules(2)) {
    TestDevice device(schedule);
    auto* out = device.make<uint32_t>(24 * 30);
    launch(device.stream(), {"places", {2, 3, 4}, {5, 3, 2}}, places, out);
    const auto found = device.get(out, 24 * 30);
    for (uint32_t i = 0; i < 24 * 30; ++i) EXPECT_EQ(found[i], i / 30 * 100 + i % 30);
  }
}

}  // namespace
}  // namespace mica::simt

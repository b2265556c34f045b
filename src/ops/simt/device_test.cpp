#include "ops/simt/device.h"

#include "ops/simt/shared_use.h"
#include "ops/simt/simt_test.h"

namespace mica::simt {
namespace {

using When = DeviceOptions::When;

MICA_KERNEL void add_one(uint32_t* values, int count) {
  const int i = static_cast<int>(block_index().x * block_size().x + thread_index().x);
  if (i < count) values[i] += 1;
}

TEST(SimtDevice, WorkRunsInOrderWheneverItRuns) {
  for (When when : {When::kAtOnce, When::kAtWait, When::kBySeed}) {
    const auto device = make_device({.when = when});
    const auto stream = device->make_stream();
    Buffer buffer = device->allocate(400);
    auto* values = static_cast<uint32_t*>(buffer.data());
    stream->fill(values, 0, 400);
    for (int i = 0; i < 5; ++i) launch(*stream, {"add_one", {4}, {32}}, add_one, values, 100);
    std::vector<uint32_t> found(100);
    bool called = false;
    stream->copy(found.data(), values, 400);
    stream->call([&] { called = found[99] == 5; });
    if (when == When::kAtWait) {
      EXPECT_FALSE(called);
    }
    stream->synchronize();
    EXPECT_TRUE(called);
    EXPECT_EQ(found, std::vector<uint32_t>(100, 5));
  }
}

TEST(SimtDevice, EventsOrderStreams) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto device = make_device({.schedule = {.order = Order::kRandom, .seed = seed}});
    const auto first = device->make_stream(), second = device->make_stream();
    const auto event = device->make_event();
    EXPECT_TRUE(event->done());
    std::string log;
    first->call([&] { log += "a"; });
    first->record(*event);
    first->call([&] { log += "b"; });
    second->wait(*event);
    second->call([&] { log += "c"; });
    second->synchronize();
    EXPECT_TRUE(event->done());
    EXPECT_LT(log.find('a'), log.find('c'));
    device->synchronize();
    EXPECT_EQ(log.size(), 3u);
  }
}

TEST(SimtDevice, EventWaitsForWorkBeforeItOnly) {
  const auto device = make_device({.when = When::kAtWait});
  const auto stream = device->make_stream();
  const auto event = device->make_event();
  int done = 0;
  stream->call([&] { ++done; });
  stream->record(*event);
  stream->call([&] { ++done; });
  EXPECT_FALSE(event->done());
  event->synchronize();
  EXPECT_EQ(done, 1);
  stream->synchronize();
  EXPECT_EQ(done, 2);
}

TEST(SimtDevice, GraphsReplay) {
  TestDevice device({.order = Order::kRandom, .seed = 4});
  uint32_t* values = device.put(std::vector<uint32_t>(64));
  auto& stream = device.stream();
  stream.begin_capture();
  for (int i = 0; i < 3; ++i) launch(stream, {"add_one", {2}, {32}}, add_one, values, 64);
  auto graph = stream.end_capture();
  EXPECT_EQ(graph->nodes(), 3u);
  EXPECT_EQ(device.get(values, 64), std::vector<uint32_t>(64, 0));  // nothing ran yet
  for (int i = 0; i < 4; ++i) stream.replay(*graph);
  graph.reset();
  EXPECT_EQ(device.get(values, 64), std::vector<uint32_t>(64, 12));
}

TEST(SimtDevice, MemoryStartsUnwrittenAndIsCounted) {
  const auto device = make_device({.memory_bytes = 1000});
  Buffer buffer = device->allocate(600);
  for (int i = 0; i < 150; ++i) {
    const float value = static_cast<float*>(buffer.data())[i];
    EXPECT_NE(value, value);
    const uint16_t bits = static_cast<uint16_t*>(buffer.data())[i];
    EXPECT_NE(to_float(bf16{bits}), to_float(bf16{bits}));
    EXPECT_NE(to_float(f16{bits}), to_float(f16{bits}));
  }
  EXPECT_EQ(device->properties().memory_free, 400u);
  try {
    device->allocate(401);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutOfMemory);
    expect_contains(error.what(), "401 bytes wanted, 400 of 1000 are free");
  }
  buffer.reset();
  EXPECT_EQ(device->properties().memory_free, 1000u);
}

TEST(SimtDevice, WritesBeyondAnAllocationAreCaught) {
  const auto write_beyond = [] {
    TestDevice device;
    auto* values = device.make<uint32_t>(32);
    device.stream().fill(values, 0, 128);
    std::string fault = fault_of([&] {
      launch(device.stream(), {"add_one", {1}, {64}}, add_one, values, 33);
      device.stream().synchronize();
    });
    return fault;
  };
  if (kAsan) {
    EXPECT_DEATH(write_beyond(), "use-after-poison");
  } else {
    expect_contains(write_beyond(), "past the end of a device allocation of 128 bytes");
  }
}

MICA_KERNEL void nothing(int) {}

TEST(SimtDevice, RefusesWhatAGpuRefuses) {
  TestDevice device;
  const auto start = [&](LaunchConfig config) {
    return fault_of([&] { launch(device.stream(), config, nothing, 0); });
  };
  expect_contains(start({"many", {1}, {1025}}), "kernel 'many' did not start: 1025 threads");
  expect_contains(start({"none", {1}, {0}}), "0 threads");
  EXPECT_EQ(start({"full", {1}, {32}, 1024}), "");
  EXPECT_EQ(start({"full", {1}, {32}, 99 * 1024}), "");
  EXPECT_EQ(start({"full", {1}, {32}, 2048}), "");
  expect_contains(start({"large", {1}, {32}, 99 * 1024 + 16}), "101392 bytes of shared memory");
  expect_contains(start({"tall", {1, 65536}, {32}}), "grid 1 x 65536 x 1");
  EXPECT_EQ(start({"empty", {0}, {32}}), "");
  const auto use = largest_shared_use();
  EXPECT_EQ(use.at("full"), 99u * 1024);
  EXPECT_EQ(use.count("large"), 0u);
}

// As cudaFree: work that was started before uses the memory to its end.
TEST(SimtDevice, FreeingFinishesPendingWork) {
  const auto device = make_device({.when = DeviceOptions::When::kAtWait});
  const auto stream = device->make_stream();
  Buffer memory = device->allocate(4);
  int32_t value = 0;
  stream->fill(memory.data(), 1, 4);
  stream->copy(&value, memory.data(), 4);
  EXPECT_EQ(value, 0);
  memory.reset();
  EXPECT_EQ(value, 0x01010101);
}

TEST(SimtDevice, FaultWhileFreeingIsThrownLater) {
  const auto device = make_device({.when = DeviceOptions::When::kAtWait});
  const auto stream = device->make_stream();
  Buffer memory = device->allocate(4);
  stream->call([] { throw Error(ErrorKind::kInternal, "[test] late"); });
  memory.reset();
  EXPECT_EQ(fault_of([&] { stream->synchronize(); }), "[test] late");
  EXPECT_EQ(fault_of([&] { stream->synchronize(); }), "");
}

}  // namespace
}  // namespace mica::simt

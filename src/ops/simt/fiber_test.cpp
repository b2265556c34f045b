#include "ops/simt/fiber.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace mica::simt {
namespace {

struct Counter {
  Fiber fiber;
  int value = 0;
  int limit = 3;
  double sum = 0.5;  // lives in a register across switches
};

void count(void* argument) {
  auto& counter = *static_cast<Counter*>(argument);
  double sum = counter.sum;
  for (int i = 0; i < counter.limit; ++i) {
    ++counter.value;
    sum *= 3;
    counter.fiber.suspend();
  }
  counter.sum = sum;
}

TEST(Fiber, RunsFromSuspendToSuspend) {
  Counter counter;
  counter.fiber.start(count, &counter);
  for (int i = 1; i <= 3; ++i) {
    counter.fiber.resume();
    EXPECT_EQ(counter.value, i);
    EXPECT_FALSE(counter.fiber.done());
  }
  counter.fiber.resume();
  EXPECT_TRUE(counter.fiber.done());
  EXPECT_EQ(counter.sum, 13.5);
}

TEST(Fiber, ManyTakeTurns) {
  std::vector<std::unique_ptr<Counter>> counters;
  for (int i = 0; i < 300; ++i) {
    counters.push_back(std::make_unique<Counter>());
    counters.back()->limit = i;
    counters.back()->fiber.start(count, counters.back().get());
  }
  for (int round = 0; round < 300; ++round)
    for (auto& counter : counters)
      if (!counter->fiber.done()) counter->fiber.resume();
  for (int i = 0; i < 300; ++i) {
    EXPECT_TRUE(counters[static_cast<size_t>(i)]->fiber.done());
    EXPECT_EQ(counters[static_cast<size_t>(i)]->value, i);
  }
}

TEST(Fiber, StartsAgainWhereItDidNotEnd) {
  Counter counter;
  for (int i = 0; i < 5; ++i) {
    counter.value = 0;
    counter.fiber.start(count, &counter);
    counter.fiber.resume();
    counter.fiber.resume();
    EXPECT_EQ(counter.value, 2);
  }
}

void throw_and_catch(void* argument) {
  auto& counter = *static_cast<Counter*>(argument);
  try {
    counter.fiber.suspend();
    throw std::runtime_error("in a fiber");
  } catch (const std::runtime_error&) {
    counter.value = 7;
  }
}

TEST(Fiber, ExceptionsUnwindWithinTheFiber) {
  Counter counter;
  counter.fiber.start(throw_and_catch, &counter);
  counter.fiber.resume();
  counter.fiber.resume();
  EXPECT_EQ(counter.value, 7);
  EXPECT_TRUE(counter.fiber.done());
}

void measure_alignment(void* argument) {
  alignas(16) volatile char local[16] = {};
  static_cast<Counter*>(argument)->value =
      static_cast<int>(reinterpret_cast<uintptr_t>(&local[0]) % 16);
}

TEST(Fiber, StackIsAligned) {
  Counter counter;
  counter.value = -1;
  counter.fiber.start(measure_alignment, &counter);
  counter.fiber.resume();
  EXPECT_EQ(counter.value, 0);
}

TEST(Fiber, RunsOnEveryThread) {
  std::vector<std::thread> threads;
  std::vector<int> values(4);
  for (size_t t = 0; t < values.size(); ++t)
    threads.emplace_back([&values, t] {
      Counter counter;
      counter.limit = 1000;
      counter.fiber.start(count, &counter);
      while (!counter.fiber.done()) counter.fiber.resume();
      values[t] = counter.value;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(values, std::vector<int>(4, 1000));
}

}  // namespace
}  // namespace mica::simt

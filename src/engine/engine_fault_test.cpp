// A request always ends: cancelled, late, failed, refused, or with the engine.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "engine/engine.h"
#include "engine/fake_model.h"

namespace mica {
namespace {

using fake::Answer;
using fake::collect;
using fake::expected_answer;
using fake::FakeBackend;
using fake::FakeModel;
using std::chrono::milliseconds;

constexpr int32_t kMarker = 60;  // a token that no other request of these tests has

Request request_of(std::vector<int32_t> prompt, int32_t max_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  // The fake model answers with every token; the marker must come from prompts only.
  request.stop_token_ids = {kMarker};
  return request;
}

bool has(std::span<const int32_t> ids, int32_t token) {
  return std::ranges::count(ids, token) > 0;
}

EngineOptions small() {
  EngineOptions options;
  options.max_batch_sequences = 4;
  options.max_context = 2000;
  return options;
}

struct EngineFault : testing::Test {
  FakeBackend backend;
  FakeModel model;

  // Holds the engine thread at the start of a step until `open`.
  std::mutex mutex;
  std::condition_variable changed;
  bool gate_open = false;
  int arrived = 0;
  void gate() {
    std::unique_lock lock(mutex);
    ++arrived;
    changed.notify_all();
    changed.wait(lock, [&] { return gate_open; });
  }
  void wait_until_held() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return arrived > 0; });
  }
  void open() {
    const std::lock_guard lock(mutex);
    gate_open = true;
    changed.notify_all();
  }
};

TEST_F(EngineFault, CancellationEndsWithinAStep) {
  model.on_forward = [&](auto) { gate(); };
  Engine engine(backend, model, small());
  const auto stream = engine.submit(request_of({1, 2}, 1000));
  wait_until_held();
  stream->cancel();
  open();
  const Answer answer = collect(*stream);
  ASSERT_TRUE(answer.complete);
  EXPECT_EQ(answer.end.reason, FinishReason::kCancelled);
  EXPECT_LE(answer.tokens.size(), 1u);
  EXPECT_EQ(engine.stats().cancelled, 1u);
  EXPECT_EQ(engine.stats().blocks_used, 0);
}

TEST_F(EngineFault, AQueuedRequestIsCancelledWithoutRunning) {
  model.on_forward = [&](auto) { gate(); };
  EngineOptions options = small();
  options.max_batch_sequences = 1;
  Engine engine(backend, model, options);
  const auto running = engine.submit(request_of({1}, 5));
  wait_until_held();
  const auto queued = engine.submit(request_of({2}, 5));
  queued->cancel();
  open();
  const Answer answer = collect(*queued);
  ASSERT_TRUE(answer.complete);
  EXPECT_EQ(answer.end.reason, FinishReason::kCancelled);
  EXPECT_EQ(answer.started, 0);
  EXPECT_EQ(answer.events.size(), 1u);
  EXPECT_EQ(collect(*running).tokens, expected_answer(request_of({1}, 5)));
}

TEST_F(EngineFault, ADroppedStreamFreesItsPlace) {
  Engine engine(backend, model, small());
  Request request = request_of({1, 2}, 1998);
  request.stop_token_ids.clear();
  engine.submit(request);
  while (engine.stats().cancelled + engine.stats().finished == 0) std::this_thread::yield();
  EXPECT_EQ(engine.stats().cancelled, 1u);
}

TEST_F(EngineFault, TheDeadlineHoldsRunningAndQueued) {
  model.on_forward = [](auto) { std::this_thread::sleep_for(milliseconds(2)); };
  EngineOptions options = small();
  options.max_batch_sequences = 1;
  Engine engine(backend, model, options);
  Request slow = request_of({1}, 1999);
  slow.stop_token_ids.clear();
  slow.timeout = milliseconds(150);
  Request behind = request_of({2}, 5);
  behind.timeout = milliseconds(30);
  const auto begin = std::chrono::steady_clock::now();
  const auto running = engine.submit(slow), queued = engine.submit(behind);
  const Answer late = collect(*queued);
  EXPECT_EQ(late.end.reason, FinishReason::kTimeout);
  EXPECT_EQ(late.started, 0);
  const Answer answer = collect(*running);
  EXPECT_EQ(answer.end.reason, FinishReason::kTimeout);
  EXPECT_GT(answer.tokens.size(), 0u);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(150));
  EXPECT_EQ(engine.stats().failed, 2u);
}

TEST_F(EngineFault, AFullQueueRefuses) {
  model.on_forward = [&](auto) { gate(); };
  EngineOptions options = small();
  options.max_queue = 2;
  options.max_batch_sequences = 1;
  Engine engine(backend, model, options);
  const auto first = engine.submit(request_of({1}, 3));
  wait_until_held();
  const auto second = engine.submit(request_of({2}, 3)), third = engine.submit(request_of({3}, 3));
  EXPECT_TRUE(second && third);
  EXPECT_FALSE(engine.submit(request_of({4}, 3)));
  EXPECT_EQ(engine.stats().waiting, 2);
  open();
  for (const auto& stream : {first, second, third}) EXPECT_TRUE(collect(*stream).complete);
  EXPECT_TRUE(engine.submit(request_of({4}, 3)));
}

TEST_F(EngineFault, TheDestructorEndsEveryRequest) {
  model.on_forward = [&](auto) { gate(); };
  std::vector<std::shared_ptr<EventStream>> streams;
  {
    Engine engine(backend, model, small());
    for (int32_t i = 0; i < 12; ++i) streams.push_back(engine.submit(request_of({i}, 1000)));
    wait_until_held();
    open();
  }
  for (const auto& stream : streams) {
    const Answer answer = collect(*stream);
    ASSERT_TRUE(answer.complete);
    if (answer.end.reason != FinishReason::kStop) {
      EXPECT_EQ(answer.end.reason, FinishReason::kCancelled);
    }
    EXPECT_FALSE(stream->try_next());
  }
}

TEST_F(EngineFault, AnExceptionEndsTheStepAndTheEngineGoesOn) {
  model.after_append = [](std::span<const int32_t> ids) {
    if (has(ids, kMarker)) throw std::runtime_error("kernel went wrong");
  };
  Engine engine(backend, model, small());
  for (int i = 0; i < 10; ++i) {  // more often than the engine bears without a probe
    const Answer failed = collect(*engine.submit(request_of({1, kMarker}, 5)));
    ASSERT_TRUE(failed.complete);
    EXPECT_EQ(failed.end.reason, FinishReason::kError);
    EXPECT_NE(failed.end.error.find("kernel went wrong"), std::string::npos);
  }
  EXPECT_TRUE(engine.healthy());
  const Request good = request_of({1, 2}, 20);
  EXPECT_EQ(collect(*engine.submit(good)).tokens, expected_answer(good));
  EXPECT_EQ(engine.stats().failed, 10u);
  EXPECT_EQ(engine.stats().blocks_used, 0);
}

TEST_F(EngineFault, WhatAFailedStepComputedIsNotFoundLater) {
  std::atomic<bool> fail{true};
  model.after_append = [&](auto) {
    if (fail.exchange(false)) throw std::runtime_error("once");
  };
  Engine engine(backend, model, small());
  const Request request = request_of(std::vector<int32_t>(100, 4), 5);
  EXPECT_EQ(collect(*engine.submit(request)).end.reason, FinishReason::kError);
  const Answer answer = collect(*engine.submit(request));
  EXPECT_EQ(answer.end.cached_tokens, 0);
  EXPECT_EQ(answer.tokens, expected_answer(request));
}

TEST_F(EngineFault, OutOfMemoryHitsOnlyItsRequest) {
  model.on_forward = [&](std::span<const int32_t> ids) {
    gate();
    if (has(ids, kMarker)) throw Error(ErrorKind::kOutOfMemory, "[fake] 9 wanted, 3 free");
  };
  Engine engine(backend, model, small());
  const Request first = request_of({1, 2}, 40), other = request_of({5, 6, 7}, 40);
  const auto a = engine.submit(first);
  wait_until_held();
  const auto big = engine.submit(request_of({3, kMarker, 4}, 40)), b = engine.submit(other);
  open();
  const Answer failed = collect(*big);
  EXPECT_EQ(failed.end.reason, FinishReason::kError);
  EXPECT_EQ(failed.end.error, "[fake] 9 wanted, 3 free");
  EXPECT_EQ(collect(*a).tokens, expected_answer(first));
  EXPECT_EQ(collect(*b).tokens, expected_answer(other));
  EXPECT_EQ(engine.stats().failed, 1u);
}

TEST_F(EngineFault, ARequestThatTheSamplerRefusesEndsAlone) {
  backend.on_sample = [](const SampleParams& params) {
    for (const SampleRow& row : params.rows)
      if (row.params->top_k < 0) throw Error(ErrorKind::kUsage, "[sample] top_k is negative");
  };
  model.on_forward = [&](auto) { gate(); };
  Engine engine(backend, model, small());
  const Request first = request_of({1, 2}, 40);
  Request bad = request_of({3}, 40);
  bad.sampling.top_k = -1;
  const auto a = engine.submit(first);
  wait_until_held();
  const auto b = engine.submit(bad);
  open();
  EXPECT_EQ(collect(*b).end.error, "[sample] top_k is negative");
  EXPECT_EQ(collect(*a).tokens, expected_answer(first));
}

// Recurrent state has moved on when a step fails: nobody of the step may go on with it.
TEST_F(EngineFault, AHybridModelLosesTheStepAndNoMore) {
  const fake::FakeOptions hybrid{.hybrid = true};
  FakeModel recurrent(hybrid);
  std::atomic<bool> fail{true};
  recurrent.after_append = [&](std::span<const int32_t> ids) {
    if (has(ids, kMarker) && fail.exchange(false))
      throw Error(ErrorKind::kOutOfMemory, "[fake] no");
  };
  Engine engine(backend, recurrent, small());
  EXPECT_EQ(collect(*engine.submit(request_of({1, kMarker}, 9))).end.error, "[fake] no");
  const Request good = request_of({1, 2}, 20);
  EXPECT_EQ(collect(*engine.submit(good)).tokens, expected_answer(good, hybrid));
}

TEST_F(EngineFault, ANotificationIsFreedWithTheLastEvent) {
  Engine engine(backend, model, small());
  // A consumer that holds the stream, and is held by the notification.
  struct Consumer {
    std::shared_ptr<EventStream> stream;
  };
  auto consumer = std::make_shared<Consumer>();
  const std::weak_ptr<Consumer> watch = consumer;
  consumer->stream = engine.submit(request_of({1}, 3), [consumer](Event::Kind) {});
  EXPECT_TRUE(collect(*consumer->stream).complete);
  consumer.reset();
  while (!watch.expired()) std::this_thread::yield();
}

TEST_F(EngineFault, ABrokenBackendIsReportedAndNothingWaits) {
  std::atomic<bool> broken{false};
  model.on_forward = [&](auto) {
    if (broken) throw Error(ErrorKind::kDevice, "[fake] the device is lost");
  };
  Engine engine(backend, model, small());
  EXPECT_EQ(collect(*engine.submit(request_of({1}, 3))).end.reason == FinishReason::kError, false);
  broken = true;
  std::vector<std::shared_ptr<EventStream>> streams;
  try {
    for (int32_t i = 0; i < 200; ++i) streams.push_back(engine.submit(request_of({i % 50}, 500)));
  } catch (const Error&) {  // it may notice while we submit
  }
  for (const auto& stream : streams) {
    const Answer answer = collect(*stream);
    ASSERT_TRUE(answer.complete);
    EXPECT_EQ(answer.end.reason, FinishReason::kError);
    EXPECT_NE(answer.end.error.find("device is lost"), std::string::npos);
  }
  EXPECT_FALSE(engine.healthy());
  EXPECT_NE(engine.fault().find("device is lost"), std::string::npos);
  try {
    engine.submit(request_of({1}, 3));
    FAIL() << "accepted by a broken engine";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDevice);
    EXPECT_EQ(error.what(), engine.fault());
  }
}

TEST_F(EngineFault, UnusableLogitsEndOnlyTheirRequest) {
  backend.on_sample = [](const SampleParams& params) {
    for (size_t r = 0; r < params.rows.size(); ++r) {
      if (has(params.rows[r].history, kMarker)) params.results[r].logprob = std::nanf("");
      if (has(params.rows[r].history, kMarker - 1) && params.rows[r].draw == 0)
        params.results[r].token = 61;
    }
  };
  Engine engine(backend, model, small());
  const Request good = request_of({1, 2, 3}, 10);
  const auto bad = engine.submit(request_of({kMarker}, 10));
  const auto worse = engine.submit(request_of({kMarker - 1}, 10));
  const auto stream = engine.submit(good);
  EXPECT_EQ(collect(*bad).end.reason, FinishReason::kError);
  EXPECT_EQ(collect(*worse).end.reason, FinishReason::kError);
  EXPECT_EQ(collect(*stream).tokens, expected_answer(good));
}

TEST_F(EngineFault, ANotificationThatThrowsHarmsNobody) {
  Engine engine(backend, model, small());
  const Request request = request_of({1, 2, 3}, 10);
  const auto stream = engine.submit(request, [](Event::Kind) { throw std::runtime_error("no"); });
  EXPECT_EQ(collect(*stream).tokens, expected_answer(request));
}

TEST(EventStreamTest, NextGivesUpWhenNothingComes) {
  EventStream stream;
  EXPECT_FALSE(stream.next(milliseconds(5)));
  EXPECT_FALSE(stream.try_next());
  EXPECT_STREQ(name(FinishReason::kTimeout), "timeout");
}

}  // namespace
}  // namespace mica

// The engine end to end over the fake model: the same tokens whatever the company, the chunks, the
// cache and the memory.
#include "engine/engine.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>

#include "engine/fake_model.h"

namespace mica {
namespace {

using fake::Answer;
using fake::collect;
using fake::expected_answer;
using fake::FakeBackend;
using fake::FakeModel;
using fake::FakeOptions;

std::vector<int32_t> random_tokens(std::mt19937& random, int32_t length) {
  std::vector<int32_t> tokens(static_cast<size_t>(length));
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 61);
  return tokens;
}

// Mixed lengths, three common beginnings, greedy and drawn, some with stop tokens.
std::vector<Request> mixed_requests(uint32_t seed, int32_t count) {
  std::mt19937 random(seed);
  std::vector<std::vector<int32_t>> common;
  for (int32_t length : {40, 65, 130}) common.push_back(random_tokens(random, length));
  std::vector<Request> requests;
  for (int32_t i = 0; i < count; ++i) {
    Request request;
    if (random() % 2 == 0) request.prompt = common[random() % 3];
    for (int32_t token : random_tokens(random, 1 + static_cast<int32_t>(random() % 90)))
      request.prompt.push_back(token);
    request.max_tokens = 1 + static_cast<int32_t>(random() % 50);
    request.sampling.temperature = random() % 2 == 0 ? 0.0f : 1.0f;
    request.sampling.seed = random() % 5;
    if (random() % 3 == 0) request.sampling.repetition_penalty = 1.5f;
    if (random() % 2 == 0) request.stop_token_ids = {static_cast<int32_t>(random() % 61), 7};
    request.use_prefix_cache = random() % 8 != 0;
    request.priority = static_cast<int32_t>(random() % 3);
    request.top_logprobs = static_cast<int32_t>(random() % 3);
    requests.push_back(std::move(request));
  }
  return requests;
}

void check_answer(const Request& request, const Answer& answer) {
  ASSERT_TRUE(answer.complete);
  ASSERT_NE(answer.end.reason, FinishReason::kError) << answer.end.error;
  EXPECT_EQ(answer.tokens, expected_answer(request));
  EXPECT_EQ(answer.started, 1);
  EXPECT_EQ(answer.events.front().kind, Event::Kind::kStarted);
  EXPECT_EQ(answer.end.prompt_tokens, static_cast<int32_t>(request.prompt.size()));
  EXPECT_EQ(answer.end.completion_tokens, static_cast<int32_t>(answer.tokens.size()));
  EXPECT_LT(answer.end.cached_tokens, answer.end.prompt_tokens);
  const bool stopped = std::ranges::count(request.stop_token_ids, answer.tokens.back()) > 0;
  EXPECT_EQ(answer.end.reason, stopped ? FinishReason::kStop : FinishReason::kLength);
  for (const Event& event : answer.events) {
    if (event.kind != Event::Kind::kToken) continue;
    EXPECT_EQ(event.stop_token, std::ranges::count(request.stop_token_ids, event.token.token) > 0);
    EXPECT_EQ(static_cast<int32_t>(event.token.top.size()), request.top_logprobs);
  }
}

struct Setting {
  const char* what;
  EngineOptions options;
  bool hybrid = false;
};

std::ostream& operator<<(std::ostream& out, const Setting& setting) {
  return out << setting.what;
}

EngineOptions options_of(int32_t block, int32_t chunk, int32_t batch, bool cache, size_t kv = 0) {
  EngineOptions options;
  options.block_size = block;
  options.prefill_step_tokens = chunk;
  options.max_batch_sequences = batch;
  options.prefix_cache = cache;
  options.kv_bytes = kv;
  options.max_context = 400;
  return options;
}

// Bytes of `blocks` blocks of the fake model: 2 layers x K, V x 2 heads x 3 x i32.
constexpr size_t kv_for(size_t blocks, size_t block_size) {
  return blocks * block_size * 2 * 2 * 2 * 3 * 4;
}

class SameTokens : public testing::TestWithParam<Setting> {};

TEST_P(SameTokens, AloneAndInABatchAndAgain) {
  const Setting& setting = GetParam();
  FakeBackend backend;
  FakeModel model({.hybrid = setting.hybrid});
  const std::vector<Request> requests = mixed_requests(11, 16);
  Engine engine(backend, model, setting.options);
  for (const Request& request : requests) check_answer(request, collect(*engine.submit(request)));
  for (int round = 0; round < 3; ++round) {
    std::vector<std::shared_ptr<EventStream>> streams;
    for (const Request& request : requests) streams.push_back(engine.submit(request));
    for (size_t i = 0; i < streams.size(); ++i) check_answer(requests[i], collect(*streams[i]));
  }
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.requests, 64u);
  EXPECT_EQ(stats.finished, 64u);
  EXPECT_EQ(stats.blocks_used, 0);
  EXPECT_EQ(stats.running + stats.waiting, 0);
  EXPECT_EQ(stats.cached_tokens > 0, setting.options.prefix_cache && !setting.hybrid);
  EXPECT_LE(model.most_sequences, setting.options.max_batch_sequences);
}

INSTANTIATE_TEST_SUITE_P(
    Settings, SameTokens,
    testing::Values(Setting{"chunk512", options_of(32, 512, 32, true)},
                    Setting{"chunk7", options_of(32, 7, 32, true)},
                    Setting{"chunk1", options_of(32, 1, 32, true)},
                    Setting{"no_cache", options_of(32, 512, 32, false)},
                    Setting{"no_cache_chunk7", options_of(16, 7, 16, false)},
                    Setting{"blocks_of_one", options_of(1, 64, 16, true)},
                    Setting{"blocks_of_five", options_of(5, 33, 3, true)},
                    Setting{"one_sequence", options_of(32, 512, 1, true)},
                    Setting{"tiny_pool", options_of(8, 64, 16, true, kv_for(40, 8))},
                    Setting{"tiny_pool_no_cache", options_of(8, 7, 16, false, kv_for(40, 8))},
                    Setting{"hybrid", options_of(16, 50, 5, true), true},
                    Setting{"hybrid_tiny", options_of(8, 64, 8, true, kv_for(40, 8) + 4096), true}),
    [](const auto& info) { return std::string(info.param.what); });

TEST(Engine, ATinyPoolPreempts) {
  FakeBackend backend;
  FakeModel model;
  Engine engine(backend, model, options_of(4, 512, 16, false, kv_for(30, 4)));
  std::mt19937 random(3);
  std::vector<Request> requests(8);
  std::vector<std::shared_ptr<EventStream>> streams;
  for (Request& request : requests) {
    request.prompt = random_tokens(random, 8);
    request.max_tokens = 100;
    streams.push_back(engine.submit(request));
  }
  int32_t preemptions = 0;
  for (size_t i = 0; i < streams.size(); ++i) {
    const Answer answer = collect(*streams[i]);
    check_answer(requests[i], answer);
    preemptions += answer.end.preemptions;
    EXPECT_GE(answer.end.first_token_seconds, answer.end.queue_seconds);
  }
  EXPECT_GT(model.computed_tokens, 8 * (8 + 99)) << "nothing was computed again";
  EXPECT_GT(preemptions, 0);
  EXPECT_EQ(engine.stats().preemptions, static_cast<uint64_t>(preemptions));
}

TEST(Engine, APrefixHitSparesTheWork) {
  FakeBackend backend;
  FakeModel model;
  Engine engine(backend, model, options_of(16, 512, 8, true));
  std::mt19937 random(5);
  Request request;
  request.prompt = random_tokens(random, 100);
  request.max_tokens = 30;
  check_answer(request, collect(*engine.submit(request)));
  const int64_t before = model.computed_tokens;
  // The second turn of a chat: prompt, answer and a question.
  Request next = request;
  for (int32_t token : expected_answer(request)) next.prompt.push_back(token);
  next.prompt.push_back(3);
  const Answer answer = collect(*engine.submit(next));
  check_answer(next, answer);
  EXPECT_EQ(answer.end.cached_tokens, 128);
  EXPECT_EQ(answer.events.front().cached_tokens, 128);
  EXPECT_EQ(model.computed_tokens - before, 131 - 128 + 29);
  EXPECT_EQ(engine.stats().cached_tokens, 128u);
  EXPECT_GT(engine.stats().blocks_cached, 0);
}

TEST(Engine, AResetCacheIsNotFoundAnyMore) {
  FakeBackend backend;
  FakeModel model;
  Engine engine(backend, model, options_of(16, 512, 8, true));
  std::mt19937 random(5);
  Request request;
  request.prompt = random_tokens(random, 100);
  request.max_tokens = 30;
  collect(*engine.submit(request));
  EXPECT_EQ(collect(*engine.submit(request)).end.cached_tokens, 96);
  engine.reset_prefix_cache();
  const Answer again = collect(*engine.submit(request));
  EXPECT_EQ(again.end.cached_tokens, 0);
  EXPECT_EQ(again.tokens, expected_answer(request));
  EXPECT_EQ(collect(*engine.submit(request)).end.cached_tokens, 96);
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.prefix_query_tokens, 400u);
  EXPECT_EQ(stats.prefix_hit_tokens, 192u);
}

TEST(Engine, TheCacheOfEndedPromptsHasItsLimit) {
  FakeBackend backend;
  FakeModel model;
  EngineOptions options = options_of(16, 512, 8, true);
  options.prefix_cache_bytes = kv_for(3, 16);
  Engine engine(backend, model, options);
  std::mt19937 random(5);
  Request request;
  request.prompt = random_tokens(random, 100);
  request.max_tokens = 2;
  collect(*engine.submit(request));
  EXPECT_EQ(engine.stats().blocks_cached, 3);
  EXPECT_EQ(engine.stats().evictions, 3u);
  EXPECT_EQ(collect(*engine.submit(request)).end.cached_tokens, 48);  // the beginning stayed
}

TEST(Engine, TheHeartbeatShowsAStepThatHangs) {
  FakeBackend backend;
  FakeModel model;
  std::atomic<bool> hang{false};
  model.on_forward = [&](auto) {
    while (hang) std::this_thread::yield();
  };
  Engine engine(backend, model, options_of(16, 512, 8, true));
  const auto heartbeat_when = [&](bool running) {
    while (engine.heartbeat().running != running) std::this_thread::yield();
    return engine.heartbeat();
  };
  Request request;
  request.prompt = {1, 2, 3};
  request.max_tokens = 1;
  collect(*engine.submit(request));
  const Heartbeat before = heartbeat_when(false);
  EXPECT_EQ(before.step, 1u);
  hang = true;
  const auto stream = engine.submit(request);
  const Heartbeat stuck = heartbeat_when(true);
  EXPECT_EQ(stuck.step, 2u);
  EXPECT_GE(stuck.since, before.since);
  EXPECT_FALSE(stream->next(std::chrono::milliseconds(20)) && !engine.heartbeat().running);
  EXPECT_TRUE(engine.heartbeat().running);
  hang = false;
  EXPECT_TRUE(collect(*stream).complete);
  EXPECT_GE(heartbeat_when(false).since, stuck.since);
}

TEST(Engine, TheHeartbeatShowsACallThatHangs) {
  FakeBackend backend;
  FakeModel model;
  Engine engine(backend, model, options_of(16, 512, 8, true));
  const Heartbeat before = engine.heartbeat();
  Heartbeat within;
  engine.call([&] { within = engine.heartbeat(); });
  EXPECT_TRUE(within.running);
  EXPECT_EQ(within.step, before.step + 1);
  EXPECT_GE(within.since, before.since);
  while (engine.heartbeat().running) std::this_thread::yield();
  EXPECT_THROW(engine.call([] { throw Error(ErrorKind::kUsage, "no"); }), Error);
  while (engine.heartbeat().running) std::this_thread::yield();
  EXPECT_EQ(engine.heartbeat().step, before.step + 2);
}

// The fake model takes 0.1 ms or more a token; the bound holds the pieces of a long prompt down.
TEST(Engine, ABoundOnStepsCutsPromptsBesideThoseWhoDecode) {
  FakeBackend backend;
  FakeModel model;
  std::atomic<size_t> most{0};
  std::atomic<bool> measured{false};
  model.on_forward = [&](std::span<const int32_t> ids) {
    if (measured) most = std::max<size_t>(most, ids.size());
    std::this_thread::sleep_for(std::chrono::microseconds(100) * ids.size());
  };
  EngineOptions options = options_of(16, 256, 8, false);
  options.max_context = 4000;
  options.max_step_ms = 6;
  Engine engine(backend, model, options);
  Request decoding;
  decoding.prompt = {1, 2};
  decoding.max_tokens = 2000;
  const auto stream = engine.submit(decoding);
  while (engine.stats().steps < 5) std::this_thread::yield();
  measured = true;
  Request longer;
  longer.prompt.assign(600, 5);
  longer.max_tokens = 1;
  const Answer answer = collect(*engine.submit(longer));
  EXPECT_EQ(answer.tokens, expected_answer(longer));
  EXPECT_GT(most, 1u);
  EXPECT_LE(most, 1 + 60u);  // 6 ms / 0.1 ms
  stream->cancel();
}

TEST(Engine, ManyThreadsSubmitAndSomeCancel) {
  FakeBackend backend;
  FakeModel model;
  Engine engine(backend, model, options_of(8, 40, 8, true, kv_for(80, 8)));
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      const auto requests = mixed_requests(100 + t, 25);
      for (size_t i = 0; i < requests.size(); ++i) {
        std::atomic<int> notified{0};
        const auto stream = engine.submit(requests[i], [&](Event::Kind) { ++notified; });
        ASSERT_TRUE(stream);
        if (i % 4 == 3) stream->cancel();
        const Answer answer = collect(*stream);
        ASSERT_TRUE(answer.complete);
        if (answer.end.reason != FinishReason::kCancelled) check_answer(requests[i], answer);
        // The notification comes after the push and may still be on its way.
        while (notified < static_cast<int>(answer.events.size())) std::this_thread::yield();
        EXPECT_FALSE(stream->try_next());
        engine.stats();
      }
    });
  for (std::thread& thread : threads) thread.join();
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.requests, 100u);
  EXPECT_EQ(stats.finished + stats.cancelled, 100u);
  EXPECT_EQ(stats.failed, 0u);
  EXPECT_EQ(stats.blocks_used, 0);
}

template <typename F>
std::string usage_error(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "";
}

TEST(Engine, RefusesWhatCanNeverRun) {
  FakeBackend backend;
  FakeModel model;
  Engine engine(backend, model, options_of(16, 64, 4, true));
  const auto refused = [&](auto&& change) {
    Request request;
    request.prompt = {1, 2, 3};
    request.max_tokens = 4;
    change(request);
    return usage_error([&] { engine.submit(request); });
  };
  EXPECT_EQ(refused([](Request&) {}), "");
  EXPECT_NE(refused([](Request& r) { r.prompt.clear(); }), "");
  EXPECT_NE(refused([](Request& r) { r.prompt[1] = 61; }).find("61"), std::string::npos);
  EXPECT_NE(refused([](Request& r) { r.prompt[1] = -1; }), "");
  EXPECT_NE(refused([](Request& r) { r.max_tokens = 0; }), "");
  const std::string too_long = refused([](Request& r) { r.max_tokens = 398; });
  EXPECT_NE(too_long.find("3 prompt"), std::string::npos) << too_long;
  EXPECT_NE(too_long.find("398"), std::string::npos) << too_long;
  EXPECT_EQ(refused([](Request& r) { r.max_tokens = 397; }), "");
  EXPECT_NE(refused([](Request& r) { r.max_tokens = 2147483647; }), "");
  EXPECT_NE(refused([](Request& r) { r.sampling.logit_bias = {{61, 1.0f}}; }), "");
  EXPECT_NE(refused([](Request& r) { r.sampling.temperature = std::nanf(""); }), "");
}

TEST(Engine, TheContextMayBeUsedUpToItsEnd) {
  FakeBackend backend;
  FakeModel model;
  // 13 blocks of 8 hold 104 tokens: less than the 400 asked.
  Engine engine(backend, model, options_of(8, 64, 4, true, kv_for(13, 8)));
  EXPECT_EQ(engine.max_context(), 104);
  Request request;
  request.prompt.assign(90, 5);
  request.max_tokens = 14;
  check_answer(request, collect(*engine.submit(request)));
}

TEST(Engine, RefusesBadOptionsAndTooLittleMemory) {
  FakeBackend backend;
  FakeModel model;
  EngineOptions options;
  options.block_size = 0;
  EXPECT_THROW(Engine(backend, model, options), Error);
  options = {};
  options.kv_bytes = 100;
  try {
    Engine engine(backend, model, options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutOfMemory);
  }
}

// Bytes of [data, data + size) that have memory behind them.
size_t resident_bytes(void* data, size_t size) {
  std::vector<unsigned char> pages((size + 4095) / 4096);
  EXPECT_EQ(mincore(data, size, pages.data()), 0);
  return 4096 * static_cast<size_t>(std::ranges::count_if(pages, [](auto p) { return p & 1; }));
}

TEST(Engine, DoesNotTouchTheCacheBeforeUse) {
  FakeBackend backend;
  FakeModel model;
  EngineOptions options;
  options.kv_bytes = size_t{1} << 28;
  Engine engine(backend, model, options);
  Request request;
  request.prompt = {1, 2, 3};
  request.max_tokens = 3;
  check_answer(request, collect(*engine.submit(request)));
  // One block in four tensors, each perhaps in a huge page of its own.
  EXPECT_LE(resident_bytes(backend.largest, backend.largest_bytes), size_t{16} << 20);
}

TEST(Engine, TakesHalfOfTheFreeMemoryOrWhatAFullBatchNeeds) {
  FakeModel model;
  EngineOptions options;
  FakeBackend roomy;
  options.max_batch_sequences = 4;
  options.max_context = 64;
  EXPECT_EQ(Engine(roomy, model, options).stats().blocks_total, 4 * 2);
  FakeBackend narrow;
  narrow.memory = 2 * kv_for(10, 32);
  options.max_context = 0;
  Engine engine(narrow, model, options);
  EXPECT_EQ(engine.stats().blocks_total, 10);
  EXPECT_EQ(engine.max_context(), 320);
}

}  // namespace
}  // namespace mica

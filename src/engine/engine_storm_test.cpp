// Thousands of random requests with everything that can go wrong: each ends once, those that end
// well have the right tokens, and every block comes back.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "engine/engine.h"
#include "engine/fake_model.h"

namespace mica {
namespace {

using fake::Answer;
using fake::collect;
using fake::expected_answer;
using fake::FakeBackend;
using fake::FakeConstraint;
using fake::FakeModel;
using std::chrono::milliseconds;

// Throws, once in a while, when it is asked, told, or taken back.
class Brittle final : public TokenConstraint {
 public:
  explicit Brittle(uint64_t seed) : inner_(seed), random_(static_cast<uint32_t>(seed)) {}
  bool mask(std::span<uint32_t> allowed) override {
    if (random_() % 40 == 0) throw std::runtime_error("mask");
    return inner_.mask(allowed);
  }
  void accept(int32_t token) override {
    if (random_() % 60 == 0) throw std::runtime_error("accept");
    inner_.accept(token);
  }
  void rollback(int32_t tokens) override {
    if (random_() % 40 == 0) throw std::runtime_error("rollback");
    inner_.rollback(tokens);
  }

 private:
  FakeConstraint inner_;
  std::mt19937 random_;
};

struct Sent {
  Request request;
  bool constrained = false, brittle = false;
  uint64_t constraint = 0;
  std::shared_ptr<EventStream> stream;
};

class Storm {
 public:
  explicit Storm(uint32_t seed) : random_(seed) {}

  Sent next() {
    Sent sent;
    Request& request = sent.request;
    const int32_t family = pick(3);
    for (int32_t n = pick(50); n > 0; --n) request.prompt.push_back(family * 20 + n % 20);
    for (int32_t n = 1 + pick(20); n > 0; --n) request.prompt.push_back(pick(60));
    request.max_tokens = 1 + pick(40);
    request.sampling.temperature = pick(2) == 0 ? 0.0f : 0.7f;
    request.sampling.seed = static_cast<uint64_t>(pick(100));
    request.use_prefix_cache = pick(6) != 0;
    request.speculate = pick(6) != 0;
    request.priority = pick(3);
    if (pick(3) == 0) request.stop_token_ids = {pick(61)};
    if (pick(12) == 0) request.timeout = milliseconds(1 + pick(20));
    sent.constraint = static_cast<uint64_t>(pick(1000));
    sent.constrained = pick(3) == 0;
    sent.brittle = !sent.constrained && pick(8) == 0;
    if (sent.constrained) request.constraint = std::make_shared<FakeConstraint>(sent.constraint);
    if (sent.brittle) request.constraint = std::make_shared<Brittle>(sent.constraint);
    return sent;
  }
  int32_t pick(int32_t n) { return static_cast<int32_t>(random_() % static_cast<uint32_t>(n)); }

 private:
  std::mt19937 random_;
};

struct Counts {
  uint64_t good = 0, cancelled = 0, late = 0, failed = 0;
};

void check(const Sent& sent, Counts& counts) {
  const Answer answer = collect(*sent.stream);
  ASSERT_TRUE(answer.complete);
  EXPECT_FALSE(sent.stream->try_next());
  switch (answer.end.reason) {
    case FinishReason::kCancelled: ++counts.cancelled; break;
    case FinishReason::kTimeout: ++counts.late; break;
    case FinishReason::kError: ++counts.failed; break;
    default: ++counts.good;
  }
  if (sent.brittle) return;
  // Also those who did not come to their end have the right beginning.
  FakeConstraint constraint(sent.constraint);
  const std::vector<int32_t> expected =
      expected_answer(sent.request, {}, sent.constrained ? &constraint : nullptr);
  ASSERT_LE(answer.tokens.size(), expected.size());
  EXPECT_TRUE(std::equal(answer.tokens.begin(), answer.tokens.end(), expected.begin()));
  if (answer.end.reason == FinishReason::kStop || answer.end.reason == FinishReason::kLength) {
    EXPECT_EQ(answer.tokens.size(), expected.size());
  }
}

EngineOptions options_of(Model& draft) {
  EngineOptions options;
  options.block_size = 4;
  options.prefill_step_tokens = 48;
  options.max_batch_sequences = 7;
  options.max_context = 120;
  options.kv_bytes = size_t{45} * 4 * 2 * 2 * 2 * 3 * 4 * 2;
  options.speculation.draft_model = &draft;
  options.speculation.ngrams = true;
  return options;
}

// Requests in waves, so that arrivals meet all states of the engine.
Counts run(Engine& engine, uint32_t seed, int32_t requests) {
  Storm storm(seed);
  Counts counts;
  std::vector<Sent> sent;
  for (int32_t i = 0; i < requests; ++i) {
    sent.push_back(storm.next());
    sent.back().stream = engine.submit(sent.back().request);
    if (storm.pick(10) == 0)
      sent[static_cast<size_t>(storm.pick(static_cast<int32_t>(sent.size())))].stream->cancel();
    if (storm.pick(40) == 0) engine.reset_prefix_cache();
    if (storm.pick(50) != 0) continue;
    for (const Sent& one : sent) check(one, counts);
    sent.clear();
  }
  for (const Sent& one : sent) check(one, counts);
  return counts;
}

TEST(EngineStorm, EveryBlockComesBack) {
  FakeBackend backend;
  FakeModel model, draft({.wrong = 20});
  Engine engine(backend, model, options_of(draft));
  const Counts counts = run(engine, 1, 2000);
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.requests, 2000u);
  EXPECT_EQ(stats.finished, counts.good);
  EXPECT_EQ(stats.cancelled, counts.cancelled);
  EXPECT_EQ(stats.failed, counts.late + counts.failed);
  EXPECT_EQ(stats.blocks_used, 0);
  EXPECT_EQ(stats.running + stats.waiting, 0);
  EXPECT_EQ(stats.draft_failures, 0u);
  EXPECT_GT(counts.good, 500u);
  EXPECT_GT(counts.cancelled, 20u);
  EXPECT_GT(counts.failed, 20u);  // brittle constraints
  EXPECT_GT(stats.preemptions, 0u);
  EXPECT_GT(stats.accepted_draft_tokens, 100u);
  EXPECT_TRUE(engine.healthy());
}

TEST(EngineStorm, FaultsAtRandomStepsHitThoseOfTheStep) {
  FakeBackend backend;
  FakeModel model, draft({.wrong = 20});
  std::mt19937 random(5);
  uint64_t faults = 0, draft_faults = 0;
  // All on the engine's thread.
  const auto sometimes = [&](const char* what, uint64_t& count) {
    if (random() % 40 != 0) return;
    ++count;
    if (random() % 2 == 0) throw Error(ErrorKind::kOutOfMemory, "[fake] {}", what);
    throw std::runtime_error(what);
  };
  model.on_forward = [&](auto) { sometimes("forward", faults); };
  model.after_append = [&](auto) { sometimes("append", faults); };
  draft.on_forward = [&](auto) { sometimes("draft", draft_faults); };
  {
    Engine engine(backend, model, options_of(draft));
    const Counts counts = run(engine, 2, 1000);
    const EngineStats stats = engine.stats();
    EXPECT_EQ(counts.good + counts.cancelled + counts.late + counts.failed, 1000u);
    EXPECT_EQ(stats.blocks_used, 0);
    EXPECT_EQ(stats.failed, counts.late + counts.failed);
    EXPECT_GT(counts.good, 100u);
    EXPECT_GT(counts.failed, 20u);
    EXPECT_GT(stats.draft_failures, 0u);
    EXPECT_TRUE(engine.healthy());
  }
  EXPECT_GT(faults, 10u);
  EXPECT_GT(draft_faults, 3u);
}

TEST(EngineStorm, ADraftModelThatIsBrokenIsLeftOut) {
  FakeBackend backend;
  FakeModel model, draft;
  draft.after_append = [](auto) { throw std::runtime_error("no draft"); };
  EngineOptions options = options_of(draft);
  options.speculation.ngrams = false;
  Engine engine(backend, model, options);
  for (int32_t i = 0; i < 10; ++i) {
    const Request request{.prompt = {i, 4}, .max_tokens = 30};
    EXPECT_EQ(collect(*engine.submit(request)).tokens, expected_answer(request));
  }
  EXPECT_EQ(engine.stats().draft_failures, 3u);
  EXPECT_EQ(engine.stats().failed, 0u);
}

}  // namespace
}  // namespace mica

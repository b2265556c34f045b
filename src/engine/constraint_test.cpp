// Answers under constraints and a least length: the right tokens, and failures that stay alone.
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

struct Constrained : testing::Test {
  FakeBackend backend;
  FakeModel model;
  EngineOptions options = [] {
    EngineOptions small;
    small.block_size = 8;
    small.max_batch_sequences = 6;
    small.max_context = 300;
    return small;
  }();
};

Request request_of(std::vector<int32_t> prompt, int32_t max_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  return request;
}

TEST_F(Constrained, EveryAnswerFollowsItsOwnConstraint) {
  Engine engine(backend, model, options);
  std::mt19937 random(4);
  std::vector<Request> requests;
  for (uint64_t i = 0; i < 40; ++i) {
    Request request =
        request_of({static_cast<int32_t>(i), 3, 5}, 1 + static_cast<int32_t>(random() % 60));
    request.sampling.temperature = i % 2 == 0 ? 0.0f : 1.0f;
    request.sampling.seed = i;
    if (i % 3 == 0) request.stop_token_ids = {7, static_cast<int32_t>(random() % 61)};
    if (i % 6 == 0) request.min_tokens = std::min(request.max_tokens, 20);
    if (i % 4 != 3) request.constraint = std::make_shared<FakeConstraint>(i);
    requests.push_back(std::move(request));
  }
  std::vector<std::shared_ptr<EventStream>> streams;
  for (const Request& request : requests) streams.push_back(engine.submit(request));
  for (uint64_t i = 0; i < requests.size(); ++i) {
    SCOPED_TRACE(i);
    const Answer answer = collect(*streams[i]);
    ASSERT_TRUE(answer.complete);
    EXPECT_EQ(answer.end.error, "");
    FakeConstraint own(i);
    TokenConstraint* constraint = requests[i].constraint ? &own : nullptr;
    EXPECT_EQ(answer.tokens, expected_answer(requests[i], {}, constraint));
    if (constraint) {
      const auto& used = static_cast<const FakeConstraint&>(*requests[i].constraint);
      EXPECT_EQ(used.accepted(), answer.tokens.size());
    }
  }
  EXPECT_EQ(engine.stats().blocks_used, 0);
}

TEST_F(Constrained, StopTokensWaitForTheLeastLength) {
  Engine engine(backend, model, options);
  Request request = request_of({1, 2}, 100);
  for (int32_t t = 0; t < 58; ++t) request.stop_token_ids.push_back(t);  // nearly every token
  request.min_tokens = 30;
  const Answer answer = collect(*engine.submit(request));
  EXPECT_EQ(answer.tokens, expected_answer(request));
  ASSERT_GT(answer.tokens.size(), 30u);
  for (size_t i = 0; i < 30; ++i) EXPECT_GE(answer.tokens[i], 58);
  EXPECT_EQ(answer.end.reason, FinishReason::kStop);
  request.min_tokens = 101;
  EXPECT_THROW(engine.submit(request), Error);
}

// What a constraint may do wrong.
struct Odd final : TokenConstraint {
  enum class Kind { kNothing, kThrowInMask, kThrowInAccept, kOnlyStop } kind;
  int32_t after = 3;
  explicit Odd(Kind k) : kind(k) {}
  bool mask(std::span<uint32_t> allowed) override {
    if (kind == Kind::kOnlyStop) allowed[0] = 1u << 7;
    if (kind == Kind::kOnlyStop) return true;
    if (after-- > 0) return false;
    if (kind == Kind::kThrowInMask) throw std::runtime_error("no mask");
    return kind == Kind::kNothing;
  }
  void accept(int32_t) override {
    if (kind == Kind::kThrowInAccept && after <= 0) throw std::runtime_error("no such token");
  }
  void rollback(int32_t) override {}
};

TEST_F(Constrained, AConstraintThatFailsEndsItsRequestAlone) {
  Engine engine(backend, model, options);
  const std::pair<Odd::Kind, const char*> kinds[] = {
      {Odd::Kind::kNothing, "[constraint] no token of 61 is allowed after 3 tokens"},
      {Odd::Kind::kThrowInMask, "[constraint] no mask"},
      {Odd::Kind::kThrowInAccept, "[constraint] no such token"}};
  const Request good = request_of({9, 8}, 50);
  const auto beside = engine.submit(good);
  for (const auto& [kind, message] : kinds) {
    Request request = request_of({4, 5, 6}, 50);
    request.constraint = std::make_shared<Odd>(kind);
    const Answer answer = collect(*engine.submit(request));
    EXPECT_EQ(answer.end.reason, FinishReason::kError);
    EXPECT_NE(answer.end.error.find(message), std::string::npos) << answer.end.error;
    EXPECT_LE(answer.tokens.size(), 3u);
  }
  EXPECT_EQ(collect(*beside).tokens, expected_answer(good));
  EXPECT_TRUE(engine.healthy());
  EXPECT_EQ(engine.stats().failed, 3u);
  EXPECT_EQ(engine.stats().blocks_used, 0);
}

TEST_F(Constrained, AConstraintThatEndsOverrulesTheLeastLength) {
  Engine engine(backend, model, options);
  Request request = request_of({4, 5, 6}, 50);
  request.constraint = std::make_shared<Odd>(Odd::Kind::kOnlyStop);
  request.stop_token_ids = {7};
  request.min_tokens = 10;
  const Answer answer = collect(*engine.submit(request));
  EXPECT_EQ(answer.tokens, std::vector<int32_t>{7});
  EXPECT_EQ(answer.end.reason, FinishReason::kStop);
}

}  // namespace
}  // namespace mica

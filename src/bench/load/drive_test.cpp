#include "bench/load/drive.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "fake_engine/engine.h"

namespace mica {
namespace {

PlanDialect dialect() {
  PlanDialect out;
  out.stream_usage = out.ignore_eos = true;
  return out;
}

// What a drive against a scripted engine gave.
struct Driven {
  DriveResult result;
  std::vector<RequestSample> records;
  std::vector<fake::Truth> truths;
};

Driven run(const fake::Script& script, const std::vector<Conversation>& conversations,
           const DriveOptions& options) {
  fake::FakeEngine engine(script);
  engine.start();
  Client client({.url = engine.url()});
  Driven out;
  int64_t next_id = 0;
  out.result = drive(client, dialect(), conversations, options, next_id,
                     [&](RequestSample record) { out.records.push_back(std::move(record)); });
  out.truths = engine.truths();
  return out;
}

fake::Script quick() {
  fake::Script script;
  script.timing.first_token_ms = 5;
  script.timing.interval_ms = 1;
  return script;
}

std::vector<Conversation> some(int64_t count, int32_t turns = 1) {
  return Workload({.input_tokens = 20, .output_tokens = 6, .turns = turns}, nullptr)
      .conversations(0, count);
}

// The most requests that the engine had open at one moment.
int64_t most_open(const std::vector<fake::Truth>& truths) {
  int64_t most = 0;
  for (const fake::Truth& at : truths)
    most = std::max(most, static_cast<int64_t>(std::count_if(
                              truths.begin(), truths.end(), [&](const fake::Truth& other) {
                                return other.received <= at.received && other.ended > at.received;
                              })));
  return most;
}

TEST(Drive, AClosedLoopKeepsSoManyInFlight) {
  const Driven driven =
      run(quick(), some(20), {.arrivals = {.concurrency = 4}, .model = "fake-model"});
  EXPECT_EQ(driven.result.requests, 20);
  EXPECT_EQ(driven.result.failed, 0);
  EXPECT_FALSE(driven.result.stopped);
  ASSERT_EQ(driven.records.size(), 20u);
  for (const RequestSample& record : driven.records) {
    EXPECT_EQ(record.output_tokens(), 6);
    EXPECT_EQ(record.wanted_output, 6);
    EXPECT_GE(record.sent, driven.result.began);
  }
  EXPECT_EQ(most_open(driven.truths), 4);
}

TEST(Drive, AnOpenLoopSendsWhenDue) {
  const Driven driven =
      run(quick(), some(10), {.arrivals = parse_arrivals("constant:50"), .model = "fake-model"});
  ASSERT_EQ(driven.records.size(), 10u);
  double last = 0;
  for (const RequestSample& record : driven.records) {
    EXPECT_GE(record.sent, record.due);
    last = std::max(last, record.due - driven.result.began);
  }
  EXPECT_NEAR(last, 9.0 / 50, 1e-6);
}

TEST(Drive, AnOpenLoopWithALimitWaits) {
  ArrivalOptions arrivals = parse_arrivals("constant:1000");
  arrivals.concurrency = 2;
  const Driven driven = run(quick(), some(12), {.arrivals = arrivals, .model = "fake-model"});
  EXPECT_EQ(driven.records.size(), 12u);
  EXPECT_LE(most_open(driven.truths), 2);
}

TEST(Drive, TurnsFollowEachOtherAndCarryTheAnswers) {
  fake::Script script = quick();
  script.answer.text = "blue sky";
  const Driven driven =
      run(script, some(2, 3), {.arrivals = {.concurrency = 2}, .model = "fake-model"});
  EXPECT_EQ(driven.result.requests, 6);
  EXPECT_EQ(std::count_if(driven.truths.begin(), driven.truths.end(),
                          [](const fake::Truth& truth) {
                            return truth.body.find("blue sky") != std::string::npos;
                          }),
            4);  // all but the first turns
  EXPECT_EQ(driven.records[0].group, "turn 1");
}

TEST(Drive, AFailedTurnEndsItsConversation) {
  fake::Script script = quick();
  script.faults = {{.kind = "status", .first = 0, .count = 1, .at = "head", .status = 500}};
  const Driven driven =
      run(script, some(2, 3), {.arrivals = {.concurrency = 1}, .model = "fake-model"});
  EXPECT_EQ(driven.result.failed, 1);
  EXPECT_EQ(driven.result.requests, 4);  // one, and the other's three
}

TEST(Drive, StopsWhenAsked) {
  int64_t asked = 0;
  DriveOptions options{.arrivals = {.concurrency = 1}, .model = "fake-model"};
  options.stop = [&] { return ++asked > 3; };
  const Driven driven = run(quick(), some(10), options);
  EXPECT_EQ(driven.result.requests, 3);
  EXPECT_TRUE(driven.result.stopped);
}

TEST(Drive, ATraceKeepsItsTimes) {
  std::vector<Conversation> conversations = some(3);
  conversations[0].time = 0;
  conversations[1].time = 0.2;
  conversations[2].time = 0.4;
  ArrivalOptions twice;
  twice.rate = 2;
  const Driven driven = run(quick(), conversations, {.arrivals = twice, .model = "fake-model"});
  ASSERT_EQ(driven.records.size(), 3u);
  EXPECT_NEAR(driven.records[2].due - driven.result.began, 0.2, 1e-6);
}

TEST(WarmUp, GoesOnUntilTheTimesStayTheSame) {
  fake::Script script = quick();
  script.timing.first_token_ms = 60;  // far above the noise of a busy machine
  script.timing.slow_requests = 4;
  script.timing.slow_factor = 10;
  fake::FakeEngine engine(script);
  engine.start();
  Client client({.url = engine.url()});
  int64_t next_id = 0, warm = 0;
  const Workload workload({.input_tokens = 20, .output_tokens = 2}, nullptr);
  const WarmUpResult result =
      warm_up(client, dialect(), workload, {.model = "fake-model"}, {.rounds = 8}, next_id,
              [&](const RequestSample& record) { warm += record.warmup; });
  EXPECT_TRUE(result.stable);
  EXPECT_GE(result.rounds, 3);  // the slow one, and two that are alike
  EXPECT_EQ(warm, 4 * result.rounds);
}

TEST(WarmUp, AnEngineThatAlwaysFailsIsAnError) {
  fake::Script script = quick();
  script.faults = {{.kind = "status", .at = "head", .status = 503, .body = "no memory left"}};
  fake::FakeEngine engine(script);
  engine.start();
  Client client({.url = engine.url()});
  int64_t next_id = 0;
  try {
    warm_up(client, dialect(), Workload({.input_tokens = 20}, nullptr), {.model = "fake-model"},
            {.rounds = 8}, next_id, [](const RequestSample&) {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBackend);
    EXPECT_NE(std::string(error.what()).find("no memory left"), std::string::npos) << error.what();
  }
}

TEST(WarmUp, OneFailureIsEnoughUnlessItIsAllowed) {
  fake::Script script = quick();
  script.faults = {
      {.kind = "status", .first = 2, .count = 1, .at = "head", .status = 500, .body = "broken"}};
  fake::FakeEngine first(script), second(script);
  first.start();
  second.start();
  const Workload workload({.input_tokens = 20, .output_tokens = 2}, nullptr);
  int64_t next_id = 0;
  const auto warm = [&](const fake::FakeEngine& engine, bool failures_ok) {
    Client client({.url = engine.url()});
    return warm_up(client, dialect(), workload, {.model = "fake-model"},
                   {.rounds = 2, .failures_ok = failures_ok}, next_id, [](const RequestSample&) {});
  };
  try {
    warm(first, false);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("1 of 4 warm-up requests failed"), std::string::npos)
        << error.what();
  }
  const WarmUpResult result = warm(second, true);
  EXPECT_EQ(result.failed, 1);
  EXPECT_EQ(result.rounds, 2);
}

}  // namespace
}  // namespace mica

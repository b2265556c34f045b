// The bound on a step's time, with a scheduler and simulated costs in place of a model.
#include "engine/step_cost.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>

#include "engine/scheduler.h"

namespace mica {
namespace {

TEST(StepCost, LearnsWhatEachPartCosts) {
  StepCost cost(8);
  EXPECT_EQ(cost.plain(4), 0);
  EXPECT_EQ(cost.prefill_within(1, {.decoding = 4}), 0);
  cost.observe({.decoding = 4, .drafts = 8}, 1);  // nothing to compare with
  EXPECT_EQ(cost.per_draft(), 0);
  for (int i = 0; i < 50; ++i) {
    cost.observe({.decoding = 4}, 0.010);
    cost.observe({.decoding = 4, .drafts = 8}, 0.014);
    cost.observe({.decoding = 4, .drafts = 8, .prefill = 100}, 0.064);
  }
  EXPECT_NEAR(cost.plain(4), 0.010, 1e-6);
  EXPECT_NEAR(cost.plain(2), 0.010, 1e-6);  // the nearest
  EXPECT_NEAR(cost.per_draft(), 0.0005, 1e-6);
  EXPECT_NEAR(cost.per_prefill(), 0.0005, 1e-6);
  EXPECT_NEAR(cost.prefill_within(0.060, {.decoding = 4}), 100, 1);
  EXPECT_EQ(cost.prefill_within(0.005, {.decoding = 4}), 0);
}

struct Course {
  double worst = 0;   // step beside a decoding sequence, seconds, once costs are known
  int64_t steps = 0;  // until the long prompt was computed
};

// Four sequences decode while a prompt of 20,000 tokens arrives; a step costs 5 ms, 0.2 ms a
// sequence, and 40 us a prompt token, which rises with the context; all 10% more or less.
Course run(double bound) {
  SchedulerOptions options{.block_size = 32, .blocks = 2000, .max_sequences = 8};
  Scheduler scheduler(options);
  StepCost cost(8);
  std::mt19937 random(3);
  std::vector<std::unique_ptr<Sequence>> all;
  const auto add = [&](int32_t length) -> Sequence& {
    all.push_back(std::make_unique<Sequence>());
    Sequence& sequence = *all.back();
    sequence.id = all.size();
    sequence.tokens.assign(static_cast<size_t>(length), static_cast<int32_t>(all.size()));
    sequence.prompt_tokens = length;
    scheduler.add(sequence);
    return sequence;
  };
  for (int i = 0; i < 4; ++i) add(40);
  Course result;
  Sequence* prompt = nullptr;
  for (int64_t step = 0; step < 20000; ++step) {
    if (step == 5) prompt = &add(20000);
    int32_t budget = options.prefill_tokens;
    if (bound > 0 && scheduler.decoding() > 0)
      budget = std::max(32, cost.prefill_within(bound, {.decoding = scheduler.decoding()}));
    StepWork work{.decoding = scheduler.decoding()};
    const std::vector<Slice> slices = scheduler.plan(budget);
    double seconds = 0.005;
    for (const Slice& slice : slices) {
      if (slice.sequence->remaining() > 1) work.prefill += slice.count;
      seconds += slice.count == 1 ? 0.0002 : slice.count * (40e-6 + slice.begin * 2e-9);
    }
    seconds *= 0.9 + 0.2 * static_cast<double>(random() % 1000) / 1000;
    if (work.decoding > 0 && step > 10) result.worst = std::max(result.worst, seconds);
    cost.observe(work, seconds);
    scheduler.complete(slices);
    for (const Slice& slice : slices)
      if (slice.samples()) slice.sequence->tokens.push_back(1);
    if (prompt && prompt->length() > 20000) {
      result.steps = step;
      break;
    }
  }
  return result;
}

TEST(StepCost, ALongPromptKeepsTheBoundOfThoseWhoDecode) {
  const Course unbound = run(0), bounded = run(0.015);
  EXPECT_GT(unbound.worst, 0.025);
  EXPECT_GT(unbound.steps, 0);
  EXPECT_LT(bounded.worst, 0.015 * 1.25);  // as exact as costs repeat
  EXPECT_GT(bounded.steps, 0);
  EXPECT_LT(bounded.steps, 8 * unbound.steps);
}

TEST(StepCost, ABoundThatCantBeMetStillLetsPromptsThrough) {
  EXPECT_GT(run(0.001).steps, 0);
}

}  // namespace
}  // namespace mica

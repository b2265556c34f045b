#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <set>

namespace mica {
namespace {

// Plays the part of engine, model and memory: knows what was written where, and checks every step.
class Simulation {
 public:
  explicit Simulation(const SchedulerOptions& options)
      : options_(options),
        scheduler_(options),
        memory_(static_cast<size_t>(options.blocks * options.block_size), -1) {}

  struct Life {
    Sequence sequence;
    int32_t answer = 0;  // tokens to generate
    int64_t added_at = 0;
    int64_t finished_at = -1;
    int64_t first_token_at = -1;
  };

  Life& add(std::vector<int32_t> prompt, int32_t answer, int32_t priority = 0, bool cache = true) {
    auto life = std::make_unique<Life>();
    life->sequence.id = next_id_++;
    life->sequence.priority = priority;
    life->sequence.use_prefix_cache = cache;
    life->sequence.prompt_tokens = static_cast<int32_t>(prompt.size());
    life->sequence.tokens = std::move(prompt);
    life->answer = answer;
    life->added_at = steps_;
    scheduler_.add(life->sequence);
    lives_.push_back(std::move(life));
    return *lives_.back();
  }

  void cancel(size_t index) {
    Life& life = *lives_[index];
    if (life.finished_at >= 0) return;
    scheduler_.remove(life.sequence);
    life.finished_at = steps_;
  }

  // One step; false when there was nothing to do.
  bool step() {
    const std::map<Sequence*, int32_t> decoding = decoding_now();
    const std::vector<Slice> slices = scheduler_.plan();
    check_plan(slices, decoding);
    execute(slices);
    scheduler_.complete(slices);
    check_references();
    ++steps_;
    for (const Slice& slice : slices)
      if (slice.samples()) sampled(*slice.sequence);
    return !slices.empty();
  }

  void run_to_the_end(int64_t limit) {
    for (int64_t i = 0; !scheduler_.idle(); ++i) {
      ASSERT_LT(i, limit) << "not everyone finishes";
      ASSERT_TRUE(step()) << "requests wait and none runs";
      if (testing::Test::HasFatalFailure()) return;
    }
    for (const auto& life : lives_) EXPECT_GE(life->finished_at, 0);
    EXPECT_EQ(scheduler_.pool().used(), 0) << "blocks leak";
  }

  Scheduler& scheduler() { return scheduler_; }
  std::vector<std::unique_ptr<Life>>& lives() { return lives_; }
  int64_t computed_tokens() const { return computed_; }
  int64_t steps() const { return steps_; }
  int32_t token_after(const Sequence& sequence) const {
    return sequence.tokens.back() % 5 + sequence.length() % 3;
  }

 private:
  // With how often each was preempted before.
  std::map<Sequence*, int32_t> decoding_now() {
    std::map<Sequence*, int32_t> decoding;
    for (Sequence* s : scheduler_.running())
      if (s->remaining() == 1) decoding[s] = s->preemptions;
    return decoding;
  }

  void check_plan(const std::vector<Slice>& slices, const std::map<Sequence*, int32_t>& decoding) {
    int32_t prefill = 0;
    std::set<Sequence*> seen;
    for (const Slice& slice : slices) {
      Sequence& s = *slice.sequence;
      ASSERT_TRUE(seen.insert(&s).second) << "twice in a step";
      ASSERT_EQ(s.place, Sequence::Place::kRunning);
      ASSERT_GT(slice.count, 0);
      ASSERT_EQ(slice.begin, s.computed);
      ASSERT_LE(slice.begin + slice.count, s.length());
      ASSERT_GE(static_cast<int32_t>(s.blocks.size()) * options_.block_size,
                slice.begin + slice.count);
      if (!decoding.contains(&s)) prefill += slice.count;
    }
    ASSERT_LE(prefill, options_.prefill_tokens);
    ASSERT_LE(static_cast<int32_t>(slices.size()), options_.max_sequences);
    ASSERT_LE(static_cast<int32_t>(scheduler_.running().size()), options_.max_sequences);
    ASSERT_TRUE(std::ranges::is_sorted(
        scheduler_.running(), [](const Sequence* a, const Sequence* b) { return a->before(*b); }));
    for (const auto& [s, preemptions] : decoding)
      ASSERT_TRUE(seen.contains(s) || s->preemptions > preemptions)
          << "a decoding sequence waits for prefill";
    check_slots();
  }

  void check_slots() {
    std::set<int32_t> slots;
    for (const Sequence* s : scheduler_.running()) {
      if (options_.state_slots == 0) continue;
      ASSERT_GE(s->state_slot, 0);
      ASSERT_LT(s->state_slot, options_.state_slots);
      ASSERT_TRUE(slots.insert(s->state_slot).second) << "a slot is used twice";
    }
  }

  // Writes the tokens where their keys would go, and reads all that attention would.
  void execute(const std::vector<Slice>& slices) {
    const int32_t size = options_.block_size;
    std::map<int32_t, const Sequence*> writers;
    for (const Slice& slice : slices) {
      const Sequence& s = *slice.sequence;
      computed_ += slice.count;
      for (int32_t p = slice.begin; p < slice.begin + slice.count; ++p) {
        const int32_t block = s.blocks[static_cast<size_t>(p / size)];
        ASSERT_EQ(scheduler_.pool().references(block), 1) << "a shared block is written";
        ASSERT_EQ(writers.emplace(block, &s).first->second, &s) << "two write one block";
        memory_[static_cast<size_t>(block * size + p % size)] = s.tokens[static_cast<size_t>(p)];
      }
    }
    for (const Slice& slice : slices) {
      const Sequence& s = *slice.sequence;
      for (int32_t p = 0; p < slice.begin + slice.count; ++p) {
        const int32_t slot = s.blocks[static_cast<size_t>(p / size)] * size + p % size;
        ASSERT_EQ(memory_[static_cast<size_t>(slot)], s.tokens[static_cast<size_t>(p)])
            << "position " << p << " of sequence " << s.id << " holds another token";
      }
    }
  }

  void check_references() {
    std::map<int32_t, int32_t> holders;
    for (const Sequence* s : scheduler_.running())
      for (int32_t block : s->blocks) ++holders[block];
    for (int32_t block = 0; block < options_.blocks; ++block)
      ASSERT_EQ(scheduler_.pool().references(block), holders[block]);
    ASSERT_EQ(scheduler_.pool().used(),
              std::ranges::count_if(holders, [](const auto& h) { return h.second > 0; }));
  }

  void sampled(Sequence& sequence) {
    Life& life = **std::ranges::find_if(
        lives_, [&](const auto& other) { return &other->sequence == &sequence; });
    if (life.first_token_at < 0) life.first_token_at = steps_;
    sequence.tokens.push_back(token_after(sequence));
    if (sequence.length() - sequence.prompt_tokens < life.answer) return;
    scheduler_.remove(sequence);
    life.finished_at = steps_;
  }

  const SchedulerOptions options_;
  Scheduler scheduler_;
  std::vector<int32_t> memory_;
  std::vector<std::unique_ptr<Life>> lives_;
  uint64_t next_id_ = 0;
  int64_t steps_ = 0;
  int64_t computed_ = 0;
};

std::vector<int32_t> random_prompt(std::mt19937& random, int32_t length) {
  // Few tokens and three common beginnings, so that prefixes are shared often.
  std::vector<int32_t> prompt(static_cast<size_t>(length));
  const auto family = static_cast<int32_t>(random() % 3);
  const auto common = static_cast<int32_t>(random() % 40);
  for (int32_t i = 0; i < length; ++i)
    prompt[static_cast<size_t>(i)] =
        i < common ? family * 10 + i % 7 : static_cast<int32_t>(random() % 3);
  return prompt;
}

void random_life(uint32_t seed) {
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto pick = [&](int32_t low, int32_t high) {
    return low + static_cast<int32_t>(random() % static_cast<uint32_t>(high - low + 1));
  };
  SchedulerOptions options;
  options.block_size = pick(1, 9);
  options.blocks = pick(4, 60);
  options.max_sequences = pick(1, 9);
  options.prefill_tokens = pick(1, 70);
  options.prefix_cache = pick(0, 3) > 0;
  options.state_slots = pick(0, 3) == 0 ? options.max_sequences : 0;
  options.patience = pick(1, 50);
  const int32_t context = options.block_size * options.blocks;
  Simulation simulation(options);
  for (int32_t i = 0; i < 150; ++i) {
    for (int32_t n = pick(0, 9) == 0 ? pick(1, 6) : 0; n > 0; --n) {
      const int32_t length = pick(1, std::min(context - 1, pick(1, 2) == 1 ? 30 : 400));
      const int32_t answer = pick(1, std::min(context - length, 60));
      simulation.add(random_prompt(random, length), answer, pick(0, 2), pick(0, 9) > 0);
    }
    if (!simulation.lives().empty() && pick(0, 19) == 0)
      simulation.cancel(random() % simulation.lives().size());
    simulation.step();
    if (testing::Test::HasFatalFailure()) return;
  }
  simulation.run_to_the_end(2'000'000);
}

TEST(Scheduler, EveryoneFinishesAndNothingLeaksOverRandomLives) {
  for (uint32_t seed = 0; seed < 400; ++seed) {
    random_life(seed);
    if (HasFatalFailure()) return;
  }
}

TEST(Scheduler, PreemptsTheLastAndComputesItAgain) {
  SchedulerOptions options{.block_size = 4, .blocks = 10, .max_sequences = 4};
  Simulation simulation(options);
  auto& first = simulation.add(std::vector<int32_t>(8, 1), 30);
  auto& last = simulation.add(std::vector<int32_t>(8, 2), 30);
  simulation.run_to_the_end(1000);
  EXPECT_EQ(first.sequence.preemptions, 0);
  EXPECT_GT(last.sequence.preemptions, 0);
  EXPECT_LT(first.finished_at, last.finished_at);
}

TEST(Scheduler, AFullPoolForOneLongSequence) {
  SchedulerOptions options{.block_size = 4, .blocks = 5, .max_sequences = 4, .prefill_tokens = 3};
  Simulation simulation(options);
  simulation.add(std::vector<int32_t>(3, 1), 17);
  simulation.add(std::vector<int32_t>(19, 2), 1);
  simulation.run_to_the_end(1000);
}

TEST(Scheduler, APrefixIsComputedOnceAlsoByThoseWhoRunTogether) {
  SchedulerOptions options{.block_size = 4, .blocks = 300, .max_sequences = 8};
  options.prefill_tokens = 16;
  Simulation simulation(options);
  std::vector<int32_t> prompt(81);
  std::iota(prompt.begin(), prompt.end(), 0);
  for (int i = 0; i < 8; ++i) simulation.add(prompt, 1);
  simulation.run_to_the_end(1000);
  // Alone each would compute 81 tokens; 80 can be shared, and some are computed side by side.
  EXPECT_LT(simulation.computed_tokens(), 81 * 3);
  auto& again = simulation.add(prompt, 1);
  const int64_t before = simulation.computed_tokens();
  simulation.run_to_the_end(1000);
  EXPECT_EQ(again.sequence.cached_tokens, 80);
  EXPECT_EQ(simulation.computed_tokens() - before, 1);
}

TEST(Scheduler, TheLastPromptTokenIsComputedEvenWhenAllBlocksAreKnown) {
  SchedulerOptions options{.block_size = 4, .blocks = 30};
  Simulation simulation(options);
  simulation.add(std::vector<int32_t>(8, 3), 8);
  simulation.run_to_the_end(100);
  auto& again = simulation.add(std::vector<int32_t>(8, 3), 1);
  simulation.run_to_the_end(100);
  EXPECT_EQ(again.sequence.cached_tokens, 4);
}

TEST(Scheduler, WhoDoesNotUseTheCacheNeitherFindsNorIsFound) {
  SchedulerOptions options{.block_size = 4, .blocks = 30};
  Simulation simulation(options);
  const std::vector<int32_t> prompt(17, 3);
  simulation.add(prompt, 1, 0, /*cache=*/false);
  simulation.run_to_the_end(100);
  auto& open = simulation.add(prompt, 1);
  simulation.run_to_the_end(100);
  EXPECT_EQ(open.sequence.cached_tokens, 0);
  auto& closed = simulation.add(prompt, 1, 0, /*cache=*/false);
  simulation.run_to_the_end(100);
  EXPECT_EQ(closed.sequence.cached_tokens, 0);
}

TEST(Scheduler, EvictionTakesTheTailOfAPrefixFirst) {
  SchedulerOptions options{.block_size = 4, .blocks = 10};
  Simulation simulation(options);
  std::vector<int32_t> prompt(29);
  std::iota(prompt.begin(), prompt.end(), 0);
  simulation.add(prompt, 1);  // 7 full blocks
  simulation.run_to_the_end(100);
  // Five blocks for a stranger: three were never known, two are evicted.
  simulation.add(std::vector<int32_t>(19, 1), 1, 0, /*cache=*/false);
  simulation.run_to_the_end(100);
  auto& again = simulation.add(prompt, 1);
  simulation.run_to_the_end(100);
  EXPECT_EQ(again.sequence.cached_tokens, 5 * 4);
}

TEST(Scheduler, AShortPromptPassesALongOne) {
  SchedulerOptions options{.block_size = 16, .blocks = 1000, .prefill_tokens = 512};
  options.prefix_cache = false;
  Simulation simulation(options);
  auto& longer = simulation.add(std::vector<int32_t>(10000, 1), 1);
  simulation.step();
  auto& shorter = simulation.add(std::vector<int32_t>(128, 2), 1);
  simulation.run_to_the_end(1000);
  EXPECT_LE(shorter.first_token_at - shorter.added_at, 1);
  EXPECT_LE(longer.first_token_at, 21);  // 10,000 / 512 and what the short one took
}

TEST(Scheduler, PriorityOrdersTheWaiting) {
  SchedulerOptions options{.block_size = 4, .blocks = 100, .max_sequences = 1};
  Simulation simulation(options);
  auto& low = simulation.add(std::vector<int32_t>(4, 1), 5, /*priority=*/5);
  auto& high = simulation.add(std::vector<int32_t>(4, 2), 5, /*priority=*/-1);
  simulation.run_to_the_end(100);
  EXPECT_LT(high.finished_at, low.finished_at);
}

TEST(Scheduler, AnEndlessStreamOfHigherPriorityDoesNotStarveTheLowest) {
  SchedulerOptions options{.block_size = 4, .blocks = 12, .max_sequences = 2};
  options.patience = 20;
  Simulation simulation(options);
  auto& low = simulation.add(std::vector<int32_t>(20, 1), 20, /*priority=*/9);
  for (int i = 0; i < 2000 && low.finished_at < 0; ++i) {
    if (i % 2 == 0) simulation.add(std::vector<int32_t>(8, i % 7), 6, /*priority=*/0);
    simulation.step();
  }
  EXPECT_GE(low.finished_at, 0);
  EXPECT_LT(low.finished_at, 400);
}

// A sequence that decodes, and its draft room in the next plan.
int32_t draft_room(Scheduler& scheduler, Sequence& sequence, int32_t wanted) {
  sequence.wanted_drafts = wanted;
  for (const Slice& slice : scheduler.plan())
    if (slice.sequence == &sequence) {
      EXPECT_EQ(slice.count, 1);
      EXPECT_EQ(slice.rows, 1);
      return slice.draft_room;
    }
  return -1;
}

TEST(Scheduler, DraftsGetBlocksThatNobodyNeeds) {
  Scheduler scheduler({.block_size = 4, .blocks = 6, .max_sequences = 2, .prefix_cache = false});
  Sequence first, second;
  for (Sequence* sequence : {&first, &second}) {
    sequence->id = sequence == &first ? 0 : 1;
    sequence->tokens.assign(8, 1);
    scheduler.add(*sequence);
  }
  scheduler.complete(scheduler.plan());
  first.tokens.push_back(1);
  second.tokens.push_back(1);
  EXPECT_EQ(draft_room(scheduler, first, 3), 3);  // within its third block
  EXPECT_EQ(scheduler.pool().used(), 6);
  EXPECT_EQ(draft_room(scheduler, first, 17), 3);  // no block is free
  EXPECT_EQ(second.preemptions, 0);
  scheduler.remove(second);
  EXPECT_EQ(draft_room(scheduler, first, 7), 7);
  EXPECT_EQ(first.blocks.size(), 4u);
  EXPECT_EQ(draft_room(scheduler, first, 0), 0);
  scheduler.trim(first);
  EXPECT_EQ(first.blocks.size(), 3u);
  EXPECT_EQ(scheduler.pool().used(), 3);
  scheduler.remove(first);
  EXPECT_EQ(scheduler.pool().used(), 0);
}

}  // namespace
}  // namespace mica

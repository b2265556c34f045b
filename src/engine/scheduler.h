// What runs in the next step. Pure logic over numbers: no memory, no operations, no threads.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "engine/block_pool.h"
#include "engine/prefix_cache.h"
#include "engine/sequence.h"

namespace mica {

struct SchedulerOptions {
  int32_t block_size = 32;
  int32_t blocks = 0;
  int32_t max_sequences = 32;    // in a step, and so at most holding blocks
  int32_t prefill_tokens = 512;  // prompt tokens of a step, over all its prompts
  int32_t state_slots = 0;       // hybrid models: one per running sequence; 0 = not needed
  bool prefix_cache = true;
  int32_t cached_blocks = 0;  // free blocks that stay findable; 0 = all
  int32_t patience = 256;     // a waiting sequence lets so many later ones pass, then goes first
};

// Decode first: every running sequence with one token to go is in each step, with blocks for its
// drafts where some are free without taking anybody's. Then the prompts, in
// order of (priority, arrival): each takes up to half of the prefill budget that is left, so that a
// short prompt passes a long one, and the eldest takes what remains. A sequence is admitted when
// all blocks of its known tokens are there. When a decoding one needs a block and none is free, the
// last in the order gives up its blocks and computes them again later.
//
// Progress: the first in the order never gives its blocks to others, gets at least half of the
// prefill budget, and fits alone (the owner checks that); who has waited for `patience` admissions
// becomes first.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);

  void add(Sequence& sequence);     // to the waiting ones; must outlive its stay
  void remove(Sequence& sequence);  // from wherever it is; its blocks become free, yet findable
  // With at most `prefill_tokens` prompt tokens, fewer than the options say perhaps.
  std::vector<Slice> plan(int32_t prefill_tokens = std::numeric_limits<int32_t>::max());
  // The slices were computed: counts them and makes their full blocks findable. Call it before the
  // sampled tokens are appended.
  void complete(std::span<const Slice> slices);

  // Blocks (and a slot) for all tokens of a sequence, known prefix first, keeping `margin` blocks
  // free; false and no change when there are not enough. `plan` does this, and a probe that runs
  // outside of the plan.
  bool reserve(Sequence& sequence, int32_t margin);
  void release(Sequence& sequence);
  // Gives back the blocks behind the known tokens, which drafts had.
  void trim(Sequence& sequence);
  // What was computed before is never found again.
  void reset_prefix_cache();

  // Running sequences that decode.
  int32_t decoding() const;
  bool idle() const { return waiting_.empty() && running_.empty(); }
  int32_t waiting() const { return static_cast<int32_t>(waiting_.size()); }
  const std::vector<Sequence*>& running() const { return running_; }  // in order
  const BlockPool& pool() const { return pool_; }
  uint64_t preemptions() const { return preemptions_; }

 private:
  struct Before {
    bool operator()(const Sequence* a, const Sequence* b) const { return a->before(*b); }
  };
  void plan_decode(std::vector<Slice>& step);
  void plan_prefill(std::vector<Slice>& step, int32_t budget);
  void reserve_drafts(Slice& slice);
  int32_t blocks_for(int32_t tokens) const;
  bool matches(const Sequence& sequence) const;
  bool grow(Sequence& sequence);
  void preempt(Sequence& sequence);
  Sequence* admit_first();
  void promote_patient();
  void adopt_prefix(Sequence& sequence);
  void take_block(Sequence& sequence, int32_t block);
  void register_blocks(Sequence& sequence);
  std::span<const int32_t> block_tokens(const Sequence& sequence, int32_t block) const;

  const SchedulerOptions options_;
  BlockPool pool_;
  std::optional<PrefixCache> cache_;
  std::vector<int32_t> free_slots_;
  std::set<Sequence*, Before> waiting_;
  std::vector<Sequence*> running_;
  uint64_t admissions_ = 0;
  uint64_t preemptions_ = 0;
};

}  // namespace mica

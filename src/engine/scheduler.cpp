#include "engine/scheduler.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace mica {

Scheduler::Scheduler(const SchedulerOptions& options) : options_(options), pool_(options.blocks) {
  MICA_CHECK(options.block_size > 0 && options.max_sequences > 0 && options.prefill_tokens > 0);
  // Recurrent state can't be taken over in the middle of a prompt: no prefixes for hybrid models.
  if (options.prefix_cache && options.state_slots == 0) cache_.emplace(pool_, options.block_size);
  if (options.cached_blocks > 0) pool_.limit_cached(options.cached_blocks);
  for (int32_t slot = options.state_slots; slot-- > 0;) free_slots_.push_back(slot);
}

int32_t Scheduler::blocks_for(int32_t tokens) const {
  return (tokens + options_.block_size - 1) / options_.block_size;
}

void Scheduler::add(Sequence& sequence) {
  MICA_CHECK(sequence.place == Sequence::Place::kOutside && !sequence.tokens.empty());
  MICA_CHECK_MSG(blocks_for(sequence.length()) <= pool_.size(), "{} tokens in {} blocks",
                 sequence.length(), pool_.size());
  sequence.place = Sequence::Place::kWaiting;
  // A preempted sequence keeps its place in the count, or it could be passed for ever.
  if (sequence.preemptions == 0) sequence.admissions_before = admissions_;
  waiting_.insert(&sequence);
  sequence.prefix = PrefixCache::root(sequence.adapter);
}

void Scheduler::remove(Sequence& sequence) {
  if (sequence.place == Sequence::Place::kWaiting) waiting_.erase(&sequence);
  if (sequence.place == Sequence::Place::kRunning) std::erase(running_, &sequence);
  sequence.place = Sequence::Place::kOutside;
  release(sequence);
}

std::vector<Slice> Scheduler::plan(int32_t prefill_tokens) {
  std::vector<Slice> step;
  plan_decode(step);
  for (Slice& slice : step) reserve_drafts(slice);
  plan_prefill(step, std::min(prefill_tokens, options_.prefill_tokens));
  for (Slice& slice : step)
    slice.rows = slice.begin + slice.count == slice.sequence->length() ? 1 : 0;
  return step;
}

int32_t Scheduler::decoding() const {
  return static_cast<int32_t>(
      std::ranges::count_if(running_, [](const Sequence* s) { return s->remaining() == 1; }));
}

void Scheduler::plan_decode(std::vector<Slice>& step) {
  // In order, so that a preempted sequence (the last one) is never in the step already.
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (sequence.remaining() != 1) continue;
    if (!grow(sequence)) return;
    step.push_back({&sequence, sequence.computed, 1});
  }
}

void Scheduler::reserve_drafts(Slice& slice) {
  Sequence& sequence = *slice.sequence;
  slice.draft_room = sequence.wanted_drafts;
  while (static_cast<int32_t>(sequence.blocks.size()) <
         blocks_for(sequence.length() + slice.draft_room)) {
    if (const auto block = pool_.allocate()) {
      sequence.blocks.push_back(*block);
      continue;
    }
    const auto held = static_cast<int32_t>(sequence.blocks.size());
    slice.draft_room = held * options_.block_size - sequence.length();
  }
}

void Scheduler::trim(Sequence& sequence) {
  if (sequence.place != Sequence::Place::kRunning) return;
  while (static_cast<int32_t>(sequence.blocks.size()) > blocks_for(sequence.length())) {
    pool_.release(sequence.blocks.back());
    sequence.blocks.pop_back();
  }
}

void Scheduler::reset_prefix_cache() {
  if (!cache_) return;
  cache_->clear();
  for (Sequence* sequence : running_) sequence->matchable = false;
}

void Scheduler::plan_prefill(std::vector<Slice>& step, int32_t budget) {
  const size_t first = step.size();
  const auto grant = [&](Sequence& sequence) {
    const int32_t block = options_.block_size;
    const int32_t half = std::max(block, budget / 2 / block * block);
    const int32_t count = std::min({sequence.remaining(), half, budget});
    step.push_back({&sequence, sequence.computed, count});
    budget -= count;
  };
  for (Sequence* sequence : running_) {
    if (sequence->remaining() <= 1 || budget == 0) continue;
    adopt_prefix(*sequence);
    grant(*sequence);
  }
  while (budget > 0) {
    Sequence* admitted = admit_first();
    if (!admitted) break;
    grant(*admitted);
  }
  for (size_t i = first; i < step.size() && budget > 0; ++i) {
    const int32_t more = std::min(step[i].sequence->remaining() - step[i].count, budget);
    step[i].count += more;
    budget -= more;
  }
}

bool Scheduler::grow(Sequence& sequence) {
  while (static_cast<int32_t>(sequence.blocks.size()) < blocks_for(sequence.length())) {
    if (const auto block = pool_.allocate()) {
      sequence.blocks.push_back(*block);
      continue;
    }
    Sequence& last = *running_.back();
    preempt(last);
    if (&last == &sequence) return false;
  }
  return true;
}

void Scheduler::preempt(Sequence& sequence) {
  remove(sequence);
  ++sequence.preemptions;
  ++preemptions_;
  add(sequence);
}

Sequence* Scheduler::admit_first() {
  if (waiting_.empty()) return nullptr;
  if (static_cast<int32_t>(running_.size()) >= options_.max_sequences) return nullptr;
  Sequence& sequence = **waiting_.begin();
  // A block for each running sequence is kept, lest the newcomer be preempted at once.
  if (!reserve(sequence, static_cast<int32_t>(running_.size()))) return nullptr;
  waiting_.erase(waiting_.begin());
  sequence.place = Sequence::Place::kRunning;
  running_.insert(std::ranges::upper_bound(running_, &sequence, Before()), &sequence);
  ++admissions_;
  promote_patient();
  return &sequence;
}

void Scheduler::promote_patient() {
  constexpr int32_t kFirst = std::numeric_limits<int32_t>::min();
  const auto patience = static_cast<uint64_t>(options_.patience);
  std::vector<Sequence*> patient;
  for (Sequence* sequence : waiting_)
    if (sequence->priority != kFirst && admissions_ - sequence->admissions_before > patience)
      patient.push_back(sequence);
  for (Sequence* sequence : patient) {
    waiting_.erase(sequence);
    sequence->priority = kFirst;
    waiting_.insert(sequence);
  }
}

bool Scheduler::reserve(Sequence& sequence, int32_t margin) {
  if (pool_.available() == 0 || (options_.state_slots > 0 && free_slots_.empty())) return false;
  adopt_prefix(sequence);
  const int32_t needed =
      blocks_for(sequence.length()) - static_cast<int32_t>(sequence.blocks.size());
  if (pool_.available() < needed + margin) {
    release(sequence);
    if (sequence.preemptions == 0) sequence.cached_tokens = 0;
    return false;
  }
  for (int32_t i = 0; i < needed; ++i) sequence.blocks.push_back(*pool_.allocate());
  if (options_.state_slots > 0) {
    sequence.state_slot = free_slots_.back();
    free_slots_.pop_back();
  }
  return true;
}

void Scheduler::release(Sequence& sequence) {
  for (; !sequence.blocks.empty(); sequence.blocks.pop_back())
    pool_.release(sequence.blocks.back());
  if (sequence.state_slot >= 0) free_slots_.push_back(sequence.state_slot);
  sequence.state_slot = -1;
  sequence.computed = 0;
  sequence.matched_blocks = 0;
  sequence.prefix = PrefixCache::root(sequence.adapter);
  sequence.matchable = true;
}

bool Scheduler::matches(const Sequence& sequence) const {
  return cache_ && sequence.use_prefix_cache && sequence.matchable;
}

std::span<const int32_t> Scheduler::block_tokens(const Sequence& sequence, int32_t block) const {
  const auto size = static_cast<size_t>(options_.block_size);
  return std::span(sequence.tokens).subspan(static_cast<size_t>(block) * size, size);
}

// Uses known blocks in place of computing them: at admission, and later as others that run beside
// this sequence compute the same prompt. The last token is always computed, for its logits.
void Scheduler::adopt_prefix(Sequence& sequence) {
  if (!matches(sequence)) return;
  const int32_t before = sequence.computed;
  const int32_t limit = (sequence.length() - 1) / options_.block_size;
  while (sequence.matched_blocks < limit) {
    const int32_t at = sequence.matched_blocks;
    const auto block = cache_->find(sequence.prefix, block_tokens(sequence, at));
    if (!block) break;
    take_block(sequence, *block);
    sequence.computed = std::max(sequence.computed, sequence.matched_blocks * options_.block_size);
  }
  // Tokens of the answer, or computed before a preemption, were not spared by the cache.
  if (sequence.preemptions == 0) sequence.cached_tokens += sequence.computed - before;
}

// Block `matched_blocks` of the sequence becomes this findable one.
void Scheduler::take_block(Sequence& sequence, int32_t block) {
  const auto at = static_cast<size_t>(sequence.matched_blocks);
  if (at == sequence.blocks.size()) {
    pool_.retain(block);
    sequence.blocks.push_back(block);
  } else if (sequence.blocks[at] != block) {
    pool_.retain(block);
    pool_.release(sequence.blocks[at]);
    sequence.blocks[at] = block;
  }
  ++sequence.matched_blocks;
  sequence.prefix = cache_->prefix_of(block);
}

void Scheduler::complete(std::span<const Slice> slices) {
  for (const Slice& slice : slices) {
    Sequence& sequence = *slice.sequence;
    MICA_CHECK(sequence.place != Sequence::Place::kWaiting && sequence.computed == slice.begin);
    sequence.computed += slice.count;
    register_blocks(sequence);
  }
}

void Scheduler::register_blocks(Sequence& sequence) {
  while (matches(sequence) &&
         (sequence.matched_blocks + 1) * options_.block_size <= sequence.computed) {
    const int32_t at = sequence.matched_blocks;
    const auto block = cache_->insert(sequence.prefix, block_tokens(sequence, at),
                                      sequence.blocks[static_cast<size_t>(at)]);
    if (block)
      take_block(sequence, *block);
    else
      sequence.matchable = false;
  }
}

}  // namespace mica

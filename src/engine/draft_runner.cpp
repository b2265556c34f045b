#include "engine/draft_runner.h"

#include <algorithm>
#include <limits>

#include "ops/sample/mask.h"

namespace mica {

namespace {

int32_t context_of(const Model& model) {
  const int64_t limit = model.config().max_position_embeddings;
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  return static_cast<int32_t>(limit > 0 ? std::min(limit, kMost) : kMost);
}

}  // namespace

DraftRunner::DraftRunner(Backend& backend, Model& model, const EngineOptions& options,
                         const KvPlan& plan, const BlockPool& pool, const TokenMasks& masks)
    : block_size_(plan.block_size),
      vocabulary_(static_cast<int32_t>(model.config().vocab_size)),
      context_(context_of(model)),
      max_tokens_(batch_limits(options, plan).tokens),
      catch_up_(options.max_step_ms > 0 ? 2 * plan.block_size : max_tokens_),
      pool_(pool),
      masks_(masks),
      runner_(backend, model, options, plan),
      filled_(static_cast<size_t>(plan.blocks)) {}

// Leading known tokens whose keys and values the draft model has.
int32_t DraftRunner::known(const Sequence& sequence) const {
  int32_t tokens = 0;
  for (int32_t block : sequence.blocks) {
    const Filled& filled = filled_[static_cast<size_t>(block)];
    if (filled.generation != pool_.generation(block)) break;
    tokens += filled.tokens;
    if (filled.tokens < block_size_) break;
  }
  return std::min(tokens, sequence.length());
}

void DraftRunner::confirm(const Sequence& sequence, int32_t begin, int32_t end) {
  for (int32_t at = begin / block_size_; at * block_size_ < end; ++at) {
    const int32_t block = sequence.blocks[static_cast<size_t>(at)];
    const int32_t first = std::max(begin - at * block_size_, 0);
    const int32_t last = std::min(end - at * block_size_, block_size_);
    Filled& filled = filled_[static_cast<size_t>(block)];
    if (filled.generation != pool_.generation(block)) filled = {pool_.generation(block), 0};
    if (first <= filled.tokens) filled.tokens = std::max(filled.tokens, last);
  }
}

// Whether the draft model knows these tokens, and has the context to go `room` beyond.
bool DraftRunner::readable(const Sequence& sequence, int32_t begin, int32_t end,
                           int32_t room) const {
  if (end + room > context_) return false;
  const auto tokens = std::span(sequence.tokens)
                          .subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  return std::ranges::all_of(tokens, [&](int32_t token) { return token < vocabulary_; });
}

// What is missing of each sequence; the slices that reach the end of one with room for drafts give
// the first guess.
std::vector<Slice> DraftRunner::first_round(std::span<Slice> step) {
  std::vector<Slice> round;
  int64_t budget = catch_up_;
  for (const Slice& slice : step) budget += slice.count;
  budget = std::min<int64_t>(budget, max_tokens_);
  for (Slice& slice : step) {
    Job& job = job_of(slice);
    const bool wants = slice.draft_room > 0 && job.drafts == 0;
    const bool prompt = slice.draft_room == 0 && slice.count > 1;
    if (!job.request.speculate || !job.error.empty() || (!wants && !prompt)) continue;
    const int32_t end = slice.begin + slice.count;
    const int32_t begin = std::min(known(job), wants ? end - 1 : end);
    const auto count = static_cast<int32_t>(std::min<int64_t>(end - begin, budget));
    if (count == 0 || !readable(job, begin, end, slice.draft_room)) continue;
    const bool guesses = wants && begin + count == end;
    round.push_back({.sequence = &job, .begin = begin, .count = count, .rows = guesses ? 1 : 0});
    round.back().draft_room = slice.draft_room;
    budget -= count;
  }
  return round;
}

void DraftRunner::run(std::span<Slice> step) {
  std::vector<Slice> round = first_round(step);
  bool first = true;
  while (!round.empty()) {
    const std::vector<int32_t> guesses = guess(round);
    std::vector<Slice> next;
    size_t row = 0;
    for (const Slice& slice : round) {
      Job& job = job_of(slice);
      if (first) confirm(job, slice.begin, slice.begin + slice.count);
      if (slice.rows == 0) continue;
      const int32_t token = guesses[row++];
      if (!masks_.take_draft(job, token)) continue;
      job.tokens.push_back(token);
      ++job.drafts;
      if (job.drafts == slice.draft_room) continue;
      next.push_back(slice);
      next.back().begin = job.length() + job.drafts - 1;
      next.back().count = 1;
    }
    round = std::move(next);
    first = false;
  }
  for (Slice& slice : step)
    if (slice.draft_room > 0) slice.count = slice.rows = 1 + job_of(slice).drafts;
}

// The target's draw at this place of the answer, as far as the draft model can tell: the same
// parameters, the same random number.
std::vector<int32_t> DraftRunner::guess(std::span<const Slice> slices) {
  const Tensor logits = runner_.launch(slices);
  std::vector<SampleRow> rows;
  std::vector<std::vector<uint32_t>> resized;
  resized.reserve(slices.size());
  for (const Slice& slice : slices) {
    if (slice.rows == 0) continue;
    Job& job = job_of(slice);
    rows.push_back({.params = &job.request.sampling,
                    .history = job.tokens,
                    .draw = static_cast<uint64_t>(job.generated() + job.drafts),
                    .allowed = mask(job, resized)});
  }
  std::vector<SampleResult> results(rows.size());
  runner_.sample(logits, rows, results);
  std::vector<int32_t> tokens;
  for (const SampleResult& result : results) tokens.push_back(result.token);
  return tokens;
}

// The target's mask in the size of the draft's vocabulary.
std::span<const uint32_t> DraftRunner::mask(Job& job, std::vector<std::vector<uint32_t>>& resized) {
  const std::span<const uint32_t> allowed = masks_.mask(job, job.drafts);
  if (allowed.empty() || allowed.size() == mask_words(vocabulary_)) {
    if (allowed.empty() || count_allowed(allowed, vocabulary_) > 0) return allowed;
    return {};  // it guesses what take_draft refuses
  }
  resized.emplace_back(allowed.begin(), allowed.end());
  resized.back().resize(mask_words(vocabulary_));
  if (count_allowed(resized.back(), vocabulary_) == 0) return {};
  return resized.back();
}

}  // namespace mica

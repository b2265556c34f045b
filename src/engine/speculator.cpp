#include "engine/speculator.h"

#include <algorithm>

#include "base/log.h"

namespace mica {

namespace {

constexpr int32_t kTries = 8;                              // before it is judged
constexpr int32_t kFirstPause = 32, kLongestPause = 1024;  // steps
constexpr uint64_t kPlainEvery = 64;  // steps: one without guesses, so that its time is known
constexpr int32_t kMostFailures = 3;
constexpr double kWeight = 0.2;  // of a try in the running means

}  // namespace

Speculator::Speculator(Backend& backend, const EngineOptions& options, const KvPlan& plan,
                       const BlockPool& pool, const TokenMasks& masks, StepCost& cost)
    : options_(options.speculation), max_context_(plan.max_context), masks_(masks), cost_(cost) {
  if (options_.draft_model)
    runner_.emplace(backend, *options_.draft_model, options, plan, pool, masks);
}

// Drafts that could all come true, with one more token of the model behind them.
int32_t Speculator::room(const Job& job) const {
  return std::min({options_.draft_tokens, job.request.max_tokens - job.generated() - 1,
                   max_context_ - job.length() - 1});
}

int32_t Speculator::wanted(Job& job) {
  SpeculationState& state = job.speculation;
  if (!job.request.speculate || !job.error.empty() || room(job) <= 0) return 0;
  if (state.pause > 0) {
    --state.pause;
    return 0;
  }
  if (options_.ngrams) {
    if (!state.ngrams)
      state.ngrams = std::make_unique<NgramIndex>(options_.ngram_least, options_.ngram_most);
    state.proposal = state.ngrams->propose(job.tokens, room(job));
  }
  return runner_ ? room(job) : static_cast<int32_t>(state.proposal.size());
}

void Speculator::want(std::span<Sequence* const> running) {
  if (!enabled()) return;
  const bool plain = ++steps_ % kPlainEvery == 0;
  for (Sequence* sequence : running) {
    Job& job = static_cast<Job&>(*sequence);
    job.speculation.proposal.clear();
    job.wanted_drafts = plain || job.remaining() != 1 ? 0 : wanted(job);
  }
}

void Speculator::draft(std::span<Slice> step) {
  seconds_ = 0;
  if (!enabled()) return;
  decoding_ = static_cast<int32_t>(
      std::ranges::count_if(step, [](const Slice& s) { return s.count == 1 && s.samples(); }));
  guess_by_ngrams(step);
  if (runner_) guess_by_model(step);
}

void Speculator::guess_by_ngrams(std::span<Slice> step) {
  for (Slice& slice : step) {
    Job& job = job_of(slice);
    for (int32_t token : job.speculation.proposal) {
      if (job.drafts >= slice.draft_room || !masks_.take_draft(job, token)) break;
      job.tokens.push_back(token);
      ++job.drafts;
    }
    if (job.drafts > 0)
      slice.count = slice.rows = 1 + job.drafts;
    else
      job.speculation.proposal.clear();
  }
}

// What the draft model does wrong costs nobody an answer.
void Speculator::guess_by_model(std::span<Slice> step) {
  const auto guesses = [&] {
    int32_t count = 0;
    for (const Slice& slice : step) count += job_of(slice).drafts;
    return count;
  };
  const int32_t before = guesses();
  const auto begin = EngineClock::now();
  try {
    runner_->run(step);
    failures_ = 0;
  } catch (const std::exception& error) {
    log_warning("[engine] the draft model failed: {}", error.what());
    drop(step);
    ++all_failures_;
    runner_->settle();
    if (++failures_ >= kMostFailures) {
      log_error("[engine] the draft model failed {} times in a row: going on without it",
                failures_);
      runner_.reset();
    }
  }
  seconds_ = std::chrono::duration<double>(EngineClock::now() - begin).count();
  const bool prompts = std::ranges::any_of(step, [](const Slice& s) { return s.rows == 0; });
  const int32_t made = guesses() - before;
  if (made <= 0 || prompts) return;
  per_guess_ += (per_guess_ == 0 ? 1 : kWeight) * (seconds_ / made - per_guess_);
}

void Speculator::verified(Job& job, int32_t accepted) {
  const int32_t drafted = job.drafts;
  if (drafted == 0) return;
  job.draft_tokens += drafted;
  job.accepted_draft_tokens += accepted;
  // The draft model ran all of its guesses but the last.
  if (runner_ && job.speculation.proposal.empty())
    runner_->confirm(job, job.length(), job.length() + std::min(accepted, drafted - 1));
  judge(job, drafted, accepted);
}

void Speculator::judge(Job& job, int32_t drafted, int32_t accepted) {
  SpeculationState& state = job.speculation;
  const double weight = state.tries == 0 ? 1 : kWeight;
  state.proposed += weight * (drafted - state.proposed);
  state.accepted += weight * (accepted - state.accepted);
  if (++state.tries < kTries) return;
  const double plain = cost_.plain(decoding_);
  const double guess = state.proposal.empty() ? per_guess_ : 0;
  const double price =
      plain > 0 ? state.proposed * (cost_.per_draft() + guess) * decoding_ / plain : 0;
  if (state.accepted > price) {
    state.next_pause = kFirstPause;
    return;
  }
  state.pause = std::max(state.next_pause, kFirstPause);
  state.next_pause = std::min(2 * state.pause, kLongestPause);
  state.tries = 0;
  log_debug("[engine] request {}: {:.2f} of {:.2f} drafts accepted, {:.2f} needed: pause of {}",
            job.id, state.accepted, state.proposed, price, state.pause);
}

void Speculator::drop(std::span<Slice> slices) {
  for (Slice& slice : slices) {
    Job& job = job_of(slice);
    if (job.drafts == 0 && job.walk.drafts_taken == 0) continue;
    masks_.drop_drafts(job);
    job.tokens.resize(static_cast<size_t>(job.length()));
    job.drafts = 0;
    slice.count = slice.rows = 1;
  }
}

}  // namespace mica

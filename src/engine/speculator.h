// Guesses tokens for sequences that decode, where that pays. docs/speculation.md tells why answers
// don't change.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "engine/draft_runner.h"
#include "engine/engine.h"
#include "engine/step_cost.h"

namespace mica {

// A step's course: `want` before the plan, which reserves blocks; `draft` puts guesses behind the
// sequences' tokens and widens their slices; the worker runs the slices and compares; `verified`
// for each of them; `drop` where the step failed.
//
// Per request, a guess pays when the tokens it saves are worth more than it costs:
//   accepted tokens of a try > drafts of a try * seconds of a draft * sequences / seconds of a step
// After kTries tries that don't, it pauses for some steps, twice as many each time.
class Speculator {
 public:
  Speculator(Backend& backend, const EngineOptions& options, const KvPlan& plan,
             const BlockPool& pool, const TokenMasks& masks, StepCost& cost);

  bool enabled() const { return options_.enabled(); }
  void want(std::span<Sequence* const> running);
  void draft(std::span<Slice> step);
  void verified(Job& job, int32_t accepted);
  void drop(std::span<Slice> slices);
  // Of the last `draft`.
  double draft_seconds() const { return seconds_; }
  uint64_t failures() const { return all_failures_; }  // of the draft model
  double guess_seconds() const { return per_guess_; }  // a token by the draft model

 private:
  int32_t room(const Job& job) const;
  int32_t wanted(Job& job);
  void guess_by_ngrams(std::span<Slice> step);
  void guess_by_model(std::span<Slice> step);
  void judge(Job& job, int32_t drafted, int32_t accepted);

  const SpeculationOptions options_;
  const int32_t max_context_;
  const TokenMasks& masks_;
  const StepCost& cost_;
  std::optional<DraftRunner> runner_;
  int32_t failures_ = 0;  // of the draft model, in a row
  uint64_t all_failures_ = 0;
  int32_t decoding_ = 0;  // sequences of this step
  uint64_t steps_ = 0;
  double seconds_ = 0;
  double per_guess_ = 0;  // seconds of a guess by the draft model
};

}  // namespace mica

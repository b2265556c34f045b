// Guesses by a small model that runs beside the large one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/block_pool.h"
#include "engine/job.h"
#include "engine/runner.h"
#include "engine/token_masks.h"

namespace mica {

// The draft model has a cache of its own with the same block numbers, so that block tables,
// prefixes and preemption are the scheduler's alone. Which positions of a block hold the draft's
// keys is kept here; what is missing is computed before the next guess. Nothing here can make an
// answer wrong: a guess is a guess.
class DraftRunner {
 public:
  DraftRunner(Backend& backend, Model& model, const EngineOptions& options, const KvPlan& plan,
              const BlockPool& pool, const TokenMasks& masks);

  // Guesses for the slices that have room and no drafts yet; prompts are computed beside the target
  // model, in the same pieces. Throws what the model throws.
  void run(std::span<Slice> step);
  // Tokens [begin, end) of the sequence, drafts of the last `run`, turned out right.
  void confirm(const Sequence& sequence, int32_t begin, int32_t end);
  void settle() { runner_.settle(); }

 private:
  struct Filled {
    uint32_t generation = 0;
    int32_t tokens = 0;  // leading ones of the block
  };
  int32_t known(const Sequence& sequence) const;
  bool readable(const Sequence& sequence, int32_t begin, int32_t end, int32_t room) const;
  std::vector<Slice> first_round(std::span<Slice> step);
  std::vector<int32_t> guess(std::span<const Slice> slices);
  std::span<const uint32_t> mask(Job& job, std::vector<std::vector<uint32_t>>& resized);

  const int32_t block_size_, vocabulary_, context_, max_tokens_;
  const int32_t catch_up_;  // tokens of a step beyond those of the target: steps may have a bound
  const BlockPool& pool_;
  const TokenMasks& masks_;
  Runner runner_;
  std::vector<Filled> filled_;  // by block
};

}  // namespace mica

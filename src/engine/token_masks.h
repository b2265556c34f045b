// Which tokens may come next in an answer: the request's constraint, and its least length.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/job.h"

namespace mica {

// Walks a job's constraint through one step: over drafts, and back. What it throws for the next
// token ends the job (Job::error, at the step's end); behind a draft it ends the drafts only, since
// the answer may never come there.
class TokenMasks {
 public:
  explicit TokenMasks(int32_t vocabulary) : vocabulary_(vocabulary) {}

  // The mask of the token after `ahead` drafts, all of which were taken; empty: all tokens.
  std::span<const uint32_t> mask(Job& job, int32_t ahead) const;
  // Takes the next draft; false when it can't be the answer's next token.
  bool take_draft(Job& job, int32_t token) const;
  // Takes the drafts back: the step is run without them.
  void drop_drafts(Job& job) const;
  // The step is over: these tokens were sampled, all but the last of them as drafted.
  void accept(Job& job, std::span<const int32_t> tokens) const;

 private:
  bool fill(const Job& job, int32_t ahead, std::vector<uint32_t>& words) const;
  void forbid_stop_tokens(const Job& job, std::vector<uint32_t>& words) const;

  const int32_t vocabulary_;
};

}  // namespace mica

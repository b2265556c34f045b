// Which tokens may come next in an answer: the request's constraint, and its least length.
#pragma once

#include <cstdint>
#include <span>

#include "engine/job.h"

namespace mica {

// Walks a job's constraint through one step. What it throws goes to Job::error, and the job ends
// with that at the step's end.
class TokenMasks {
 public:
  explicit TokenMasks(int32_t vocabulary) : vocabulary_(vocabulary) {}

  void begin(Job& job) const;  // a step: nothing is known
  // The mask of the token after `ahead` drafts, all of which were taken; empty: all tokens.
  std::span<const uint32_t> mask(Job& job, int32_t ahead) const;
  // Takes the next draft; false when it can't be the answer's next token.
  bool take_draft(Job& job, int32_t token) const;
  // The step is over: `tokens` were sampled, the first of them as drafted perhaps.
  void accept(Job& job, std::span<const int32_t> tokens) const;

 private:
  bool fill(Job& job, int32_t ahead, std::vector<uint32_t>& words) const;
  void forbid_stop_tokens(const Job& job, std::vector<uint32_t>& words) const;

  const int32_t vocabulary_;
};

}  // namespace mica

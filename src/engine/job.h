// A request on its way through the engine.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "engine/ngram.h"
#include "engine/request.h"
#include "engine/sequence.h"

namespace mica {

using EngineClock = std::chrono::steady_clock;

// What TokenMasks knows of the step that runs: mask i is of the token after i drafts.
struct MaskWalk {
  std::vector<std::vector<uint32_t>> masks;
  int32_t known = 0;                                    // masks
  int32_t drafts_taken = 0;                             // by the constraint
  int32_t sound = std::numeric_limits<int32_t>::max();  // rows before it can be drawn from
};

// Whether guessing pays for this request (Speculator).
struct SpeculationState {
  std::unique_ptr<NgramIndex> ngrams;
  std::vector<int32_t> proposal;      // from the n-grams, for the next step
  double proposed = 0, accepted = 0;  // tokens of a try, running means
  int32_t tries = 0;                  // since it was switched on
  int32_t pause = 0;                  // steps until it is tried again
  int32_t next_pause = 0;
};

// What the scheduler sees of a request, and what its consumer gets.
struct Job : Sequence {
  Request request;                      // its prompt has moved to `tokens`
  std::shared_ptr<EventStream> stream;  // shared with the consumer
  EngineClock::time_point submitted, started, first_token;
  EngineClock::time_point deadline = EngineClock::time_point::max();
  bool is_started = false;
  bool finished = false;
  std::string error;  // of its constraint or logits: the request ends with it at the step's end

  MaskWalk walk;
  SpeculationState speculation;
  int32_t draft_tokens = 0, accepted_draft_tokens = 0;

  int32_t generated() const { return length() - prompt_tokens; }
};

inline Job& job_of(const Slice& slice) {
  return static_cast<Job&>(*slice.sequence);
}

}  // namespace mica

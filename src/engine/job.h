// A request on its way through the engine.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/request.h"
#include "engine/sequence.h"

namespace mica {

using EngineClock = std::chrono::steady_clock;

// A request on its way: what the scheduler sees of it, and what its consumer gets.
struct Job : Sequence {
  Request request;                      // its prompt has moved to `tokens`
  std::shared_ptr<EventStream> stream;  // shared with the consumer
  EngineClock::time_point submitted, started, first_token;
  EngineClock::time_point deadline = EngineClock::time_point::max();
  bool is_started = false;
  bool finished = false;
  std::string error;  // of its constraint: ends the request at the end of the step

  // For the sampler, valid within a step: mask i is of the token after i drafts (TokenMasks).
  std::vector<std::vector<uint32_t>> masks;
  int32_t masked = 0;        // masks that are known
  int32_t drafts_taken = 0;  // drafts that the constraint has accepted

  int32_t generated() const { return length() - prompt_tokens; }
};

}  // namespace mica

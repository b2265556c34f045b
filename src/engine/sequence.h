// One request as the scheduler sees it: its tokens, and what of the cache it holds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/prefix_cache.h"

namespace mica {

struct Sequence {
  // Set by the owner before Scheduler::add.
  uint64_t id = 0;       // order of arrival, unique
  int32_t priority = 0;  // lower runs earlier
  bool use_prefix_cache = true;
  int64_t adapter = 0;          // its id in the engine's AdapterSet; 0 = none
  std::vector<int32_t> tokens;  // the prompt; the owner appends what was sampled
  int32_t prompt_tokens = 0;
  // Speculation, within a step: guesses behind the known tokens, which `length` doesn't count; and
  // how many are wanted in the next plan.
  int32_t drafts = 0;
  int32_t wanted_drafts = 0;

  // Written by the scheduler only.
  enum class Place : uint8_t { kOutside, kWaiting, kRunning } place = Place::kOutside;
  int32_t computed = 0;         // leading tokens whose keys and values are in the cache
  std::vector<int32_t> blocks;  // of the tokens in order, the first shared with others perhaps
  int32_t state_slot = -1;      // hybrid models
  int32_t matched_blocks = 0;   // leading blocks that the prefix cache knows
  PrefixId prefix = 0;          // of these blocks
  bool matchable = true;        // false: neither looks up nor registers more blocks
  int32_t cached_tokens = 0;    // prompt tokens taken from the prefix cache at first
  int32_t preemptions = 0;
  uint64_t admissions_before = 0;  // Scheduler's count when it began to wait

  int32_t length() const { return static_cast<int32_t>(tokens.size()) - drafts; }
  int32_t remaining() const { return length() - computed; }
  // Who comes first: the scheduler's total order.
  bool before(const Sequence& other) const {
    return std::tie(priority, id) < std::tie(other.priority, other.id);
  }
};

// Part of a step: tokens [begin, begin + count) of a sequence run through the model. Logits are
// wanted of the last `rows`: none for a piece of a prompt, one where the slice ends with the last
// known token, and of each draft behind it.
struct Slice {
  Sequence* sequence = nullptr;
  int32_t begin = 0;
  int32_t count = 0;
  int32_t rows = 0;
  int32_t draft_room = 0;  // drafts that blocks are reserved for

  bool samples() const { return rows > 0; }
};

inline bool uses_adapters(std::span<const Slice> slices) {
  return std::ranges::any_of(slices, [](const Slice& slice) { return slice.sequence->adapter; });
}

}  // namespace mica

#include "text/answer/thinking_budget.h"

#include <algorithm>

#include "base/error.h"

namespace mica {
namespace {

// How much of `marker` the tokens end with, after `matched` of it and then `token`.
int32_t advance(std::span<const int32_t> marker, int32_t matched, int32_t token) {
  if (marker.empty()) return 0;
  // Longest proper border first: markers have a few tokens.
  for (int32_t length = matched; length >= 0; --length) {
    const auto tail = marker.subspan(matched - length, length);
    if (marker[length] == token && std::equal(tail.begin(), tail.end(), marker.begin())) {
      return length + 1;
    }
  }
  return 0;
}

}  // namespace

ThinkingBudget::ThinkingBudget(Options options) : options_(std::move(options)) {
  MICA_CHECK(!options_.close.empty() && !options_.forced_close.empty());
  states_.push_back({});
  states_.back().inside = options_.starts_in_reasoning;
  check_spent(states_.back());
}

void ThinkingBudget::check_spent(State& state) const {
  // A close marker that has begun may end by itself: its tokens are free.
  if (state.inside && state.matched == 0 && state.spent >= options_.budget) state.forcing = 0;
}

std::optional<int32_t> ThinkingBudget::forced() const {
  const int32_t forcing = states_.back().forcing;
  return forcing < 0 ? std::nullopt : std::optional(options_.forced_close[forcing]);
}

void ThinkingBudget::accept(int32_t token) {
  State next = states_.back();
  if (next.forcing >= 0) {
    if (++next.forcing == static_cast<int32_t>(options_.forced_close.size())) {
      next = {.spent = next.spent};
    }
  } else if (next.inside) {
    const int32_t matched = advance(options_.close, next.matched, token);
    // What had matched and does not any more was thought after all.
    next.spent += next.matched + 1 - matched;
    next.matched = matched;
    if (matched == static_cast<int32_t>(options_.close.size())) {
      next = {.spent = next.spent};
    }
    check_spent(next);
  } else if (!options_.open.empty()) {
    next.matched = advance(options_.open, next.matched, token);
    if (next.matched == static_cast<int32_t>(options_.open.size())) {
      next.inside = true;
      next.matched = 0;
      check_spent(next);
    }
  }
  states_.push_back(next);
}

void ThinkingBudget::rollback(int64_t tokens) {
  MICA_CHECK(tokens >= 0 && tokens < static_cast<int64_t>(states_.size()));
  states_.resize(states_.size() - static_cast<size_t>(tokens));
}

}  // namespace mica

#include "server/answer_constraint.h"

#include <algorithm>

#include "base/error.h"

namespace mica {
namespace {

void set_bit(std::span<uint32_t> bits, int32_t token, bool value) {
  const uint32_t bit = uint32_t{1} << (token % 32);
  uint32_t& word = bits[static_cast<size_t>(token / 32)];
  word = value ? word | bit : word & ~bit;
}

}  // namespace

AnswerConstraint::AnswerConstraint(Options options) : options_(std::move(options)) {
  if (options_.grammar) matcher_.emplace(options_.grammar);
  if (options_.budget) budget_.emplace(*options_.budget);
  states_.push_back({options_.begin, "", 0});
}

bool AnswerConstraint::mask(std::span<uint32_t> allowed) {
  if (budget_)
    if (const auto forced = budget_->forced()) {
      std::fill(allowed.begin(), allowed.end(), 0);
      set_bit(allowed, *forced, true);
      return true;
    }
  if (!matcher_) return false;
  const Phase phase = states_.back().phase;
  if (phase == Phase::kReasoning) {
    const std::span<uint32_t> words = allowed.first(options_.vocabulary->mask_words());
    std::fill(words.begin(), words.end(), UINT32_MAX);
    if (const int32_t rest = options_.vocabulary->size() % 32; rest != 0)
      words.back() = (uint32_t{1} << rest) - 1;
    for (const int32_t end : options_.vocabulary->end_ids()) set_bit(allowed, end, false);
    return true;
  }
  if (matcher_->ended()) return false;
  matcher_->mask(allowed.first(options_.vocabulary->mask_words()));
  if (phase == Phase::kMayReason) set_bit(allowed, options_.open, true);
  return true;
}

void AnswerConstraint::accept(int32_t token) {
  const bool forced = budget_ && budget_->forced();
  if (budget_) budget_->accept(token);
  State next = states_.back();
  if (matcher_) {
    if (next.phase == Phase::kMayReason)
      next.phase = token == options_.open ? Phase::kReasoning : Phase::kText;
    if (next.phase == Phase::kReasoning) {
      accept_reasoning(next, token);
    } else {
      accept_text(next, token, forced);
    }
  }
  states_.push_back(std::move(next));
}

// What the budget forces after the marker is layout where the grammar does not know it.
void AnswerConstraint::accept_text(State& next, int32_t token, bool forced) {
  if (matcher_->ended()) return;
  if (!matcher_->accept(token)) {
    if (forced) return;
    throw Error(ErrorKind::kInternal, "[server] token {} does not follow the grammar", token);
  }
  ++next.matched;
}

void AnswerConstraint::accept_reasoning(State& next, int32_t token) {
  next.tail += options_.vocabulary->bytes(token);
  const size_t at = next.tail.find(options_.close);
  if (at == std::string::npos) {
    const size_t keep = options_.close.size() - 1;
    if (next.tail.size() > keep) next.tail.erase(0, next.tail.size() - keep);
    return;
  }
  next.phase = Phase::kText;
  // The marker's last token may hold more: white space mostly, which is layout unless it fits.
  const std::string rest = next.tail.substr(at + options_.close.size());
  next.tail.clear();
  if (!rest.empty() && matcher_->accept_text(rest)) ++next.matched;
}

void AnswerConstraint::rollback(int32_t tokens) {
  const int32_t before = states_.back().matched;
  states_.resize(states_.size() - static_cast<size_t>(tokens));
  if (matcher_) matcher_->rollback(before - states_.back().matched);
  if (budget_) budget_->rollback(tokens);
}

}  // namespace mica

#include "engine/step_cost.h"

#include <algorithm>

namespace mica {

namespace {

constexpr double kRise = 0.5, kFall = 0.2;  // weight of a new value above the mean, below it

void learn(double& mean, double value) {
  if (mean == 0)
    mean = value;
  else
    mean += (value > mean ? kRise : kFall) * (value - mean);
}

}  // namespace

void StepCost::observe(const StepWork& work, double seconds) {
  const auto decoding = std::min(static_cast<size_t>(work.decoding), plain_.size() - 1);
  if (work.prefill == 0 && work.drafts == 0) {
    if (decoding > 0) learn(plain_[decoding], seconds);
    return;
  }
  const double base = work.decoding > 0 ? plain(work.decoding) : 0;
  if (work.decoding > 0 && base == 0) return;
  if (work.prefill > 0)
    learn(per_prefill_, std::max(0.0, seconds - base - work.drafts * per_draft_) / work.prefill);
  else
    learn(per_draft_, std::max(0.0, seconds - base) / work.drafts);
}

double StepCost::plain(int32_t decoding) const {
  const auto wanted = std::min(static_cast<size_t>(std::max(decoding, 0)), plain_.size() - 1);
  for (size_t n = wanted; n > 0; --n)
    if (plain_[n] > 0) return plain_[n];
  for (size_t n = wanted + 1; n < plain_.size(); ++n)
    if (plain_[n] > 0) return plain_[n];
  return 0;
}

int32_t StepCost::prefill_within(double seconds, const StepWork& work) const {
  if (per_prefill_ <= 0) return 0;
  const double left = seconds - plain(work.decoding) - work.drafts * per_draft_;
  return static_cast<int32_t>(std::clamp(left / per_prefill_, 0.0, 1e9));
}

}  // namespace mica

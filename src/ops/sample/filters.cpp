#include "ops/sample/filters.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mica::cpu {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

bool better(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// The last `size` tokens; a size of 0 takes all, as the slice [-0:] does in mlx-lm.
std::span<const int32_t> last(std::span<const int32_t> history, int32_t size) {
  const auto wanted = static_cast<size_t>(std::max(size, 0));
  return wanted == 0 || wanted >= history.size() ? history : history.last(wanted);
}

// Calls visit(logit, count) for each distinct token of the last `size`.
template <typename Visit>
void for_each_token(std::span<const int32_t> history, int32_t size, std::span<float> logits,
                    SampleWorkspace& work, Visit&& visit) {
  const std::span<const int32_t> tokens = last(history, size);
  work.ids.assign(tokens.begin(), tokens.end());
  std::sort(work.ids.begin(), work.ids.end());
  for (size_t i = 0; i < work.ids.size();) {
    size_t end = i + 1;
    while (end < work.ids.size() && work.ids[end] == work.ids[i]) ++end;
    const int32_t token = work.ids[i];
    if (token >= 0 && static_cast<size_t>(token) < logits.size())
      visit(logits[static_cast<size_t>(token)], static_cast<float>(end - i));
    i = end;
  }
}

// Position in the running sum where `target` falls; entries without weight are never chosen.
size_t pick(std::span<const float> weights, double target) {
  size_t chosen = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    chosen = i;
    target -= static_cast<double>(weights[i]);
    if (target < 0) break;
  }
  return chosen;
}

// Lowest score, from the top, that is needed for the mass `target` on top of `above`. Sorts.
float threshold_by_sorting(std::vector<float>& scores, float highest, double above, double target) {
  std::sort(scores.begin(), scores.end(), std::greater<>());
  float threshold = scores.front();
  for (float score : scores) {
    if (above >= target) break;
    threshold = score;
    above += std::exp(static_cast<double>(score) - highest);
  }
  return threshold;
}

}  // namespace

void apply_penalties(const SampleRow& row, std::span<float> logits, SampleWorkspace& work) {
  const SamplingParams& p = *row.params;
  for (const auto& [token, bias] : p.logit_bias)
    if (token >= 0 && static_cast<size_t>(token) < logits.size())
      logits[static_cast<size_t>(token)] += bias;
  if (p.repetition_penalty != 0 && p.repetition_penalty != 1)
    for_each_token(row.history, p.repetition_context_size, logits, work, [&](float& logit, float) {
      logit = logit < 0 ? logit * p.repetition_penalty : logit / p.repetition_penalty;
    });
  if (p.presence_penalty != 0)
    for_each_token(row.history, p.presence_context_size, logits, work,
                   [&](float& logit, float) { logit -= p.presence_penalty; });
  if (p.frequency_penalty != 0)
    for_each_token(row.history, p.frequency_context_size, logits, work,
                   [&](float& logit, float count) { logit -= count * p.frequency_penalty; });
}

void take_highest(const kernels::SoftmaxKernel& kernel, std::span<const float> logits, size_t count,
                  SampleWorkspace& work) {
  std::vector<Candidate>& best = work.candidates;  // a heap, the worst in front
  best.clear();
  count = std::min(count, logits.size());
  if (count == 0) return;
  constexpr size_t kBlock = kernels::kScoreBlock;
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const size_t end = std::min(begin + kBlock, logits.size());
    if (best.size() == count &&
        kernel.max_of(logits.data() + begin, static_cast<int64_t>(end - begin)) <=
            best.front().logit)
      continue;
    for (size_t i = begin; i < end; ++i) {
      // Ids rise, so that of equals the first stays. NaN counts as the lowest.
      const float logit = logits[i] == logits[i] ? logits[i] : kMinusInfinity;
      if (best.size() == count) {
        if (logit <= best.front().logit) continue;
        std::pop_heap(best.begin(), best.end(), better);
        best.back() = {logit, static_cast<int32_t>(i)};
      } else {
        best.push_back({logit, static_cast<int32_t>(i)});
      }
      std::push_heap(best.begin(), best.end(), better);
    }
  }
  std::sort_heap(best.begin(), best.end(), better);
}

float top_p_threshold(const kernels::SoftmaxKernel& kernel, std::span<const float> logits,
                      float highest, double top_p, SampleWorkspace& work) {
  constexpr size_t kFewEnough = 2048;  // to sort them
  constexpr size_t kBins = kernels::kMassBins;
  work.sums.resize(kBins);
  work.scores.clear();
  std::span<const float> scores = logits;
  float top = highest, per_nat = 32;
  double above = 0, target = -1;
  // Narrow down to the bin in which the mass is reached; each round has bins 1024 times finer.
  for (int round = 0; round < 4; ++round, per_nat *= kBins) {
    kernel.mass_bins(scores.data(), static_cast<int64_t>(scores.size()), top, per_nat, highest,
                     work.sums.data());
    if (target < 0) {
      double total = 0;
      for (double mass : work.sums) total += mass;
      target = top_p * total;
    }
    size_t bin = 0;
    while (bin + 1 < kBins && above + work.sums[bin] < target) above += work.sums[bin++];
    work.narrowed.clear();
    float narrowed_top = kMinusInfinity;
    for (float score : scores) {
      if (kernels::mass_bin(score, top, per_nat) != static_cast<int64_t>(bin)) continue;
      work.narrowed.push_back(score);
      narrowed_top = std::max(narrowed_top, score);
    }
    std::swap(work.scores, work.narrowed);
    if (work.scores.size() <= kFewEnough) break;
    scores = work.scores;
    top = narrowed_top;
  }
  if (work.scores.empty()) return kMinusInfinity;
  return threshold_by_sorting(work.scores, highest, above, target);
}

int32_t draw_from_all(const kernels::SoftmaxKernel& kernel, std::span<const float> logits,
                      float highest, float scale, double random, SampleWorkspace& work) {
  constexpr size_t kBlock = kernels::kScoreBlock;
  work.sums.resize((logits.size() + kBlock - 1) / kBlock);
  double target = random * kernel.exp_sums(logits.data(), static_cast<int64_t>(logits.size()),
                                           highest, scale, work.sums.data());
  size_t chosen = 0;
  for (size_t block = 0; block < work.sums.size(); ++block) {
    if (!(work.sums[block] > 0)) continue;
    chosen = block;
    if (target < work.sums[block]) break;
    target -= work.sums[block];
  }
  const size_t begin = chosen * kBlock, count = std::min(kBlock, logits.size() - begin);
  work.weights.resize(kBlock);
  kernel.exp_weights(logits.data() + begin, static_cast<int64_t>(count), highest, scale,
                     work.weights.data());
  return static_cast<int32_t>(begin + pick({work.weights.data(), count}, target));
}

int32_t draw_from_candidates(const kernels::SoftmaxKernel& kernel, float scale, double random,
                             SampleWorkspace& work) {
  const std::vector<Candidate>& candidates = work.candidates;
  work.scores.clear();
  for (const Candidate& candidate : candidates) work.scores.push_back(candidate.logit);
  const auto count = static_cast<int64_t>(candidates.size());
  const float highest = kernel.max_of(work.scores.data(), count);
  work.weights.resize(candidates.size());
  kernel.exp_weights(work.scores.data(), count, highest, scale, work.weights.data());
  double total = 0;
  for (float weight : work.weights) total += static_cast<double>(weight);
  return candidates[pick(work.weights, random * total)].id;
}

}  // namespace mica::cpu

// Sampling by sorting everything: the definition, step by step as in mlx-lm's sample_utils.py.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "ops/ref/ref_ops.h"
#include "ops/sample/mask.h"
#include "ops/sample/random.h"
#include "ops/sample/sample.h"

namespace mica::ref {
namespace {

constexpr double kRemoved = -std::numeric_limits<double>::infinity();
using Logprobs = std::vector<double>;

// The last `size` tokens; a size of 0 takes all, as the slice [-0:] does in mlx-lm.
std::span<const int32_t> last(std::span<const int32_t> history, int32_t size) {
  const auto wanted = static_cast<size_t>(std::max(size, 0));
  return wanted == 0 || wanted >= history.size() ? history : history.last(wanted);
}

// How often each token of the vocabulary occurs in `tokens`.
std::map<int32_t, int> count(std::span<const int32_t> tokens, int64_t vocabulary) {
  std::map<int32_t, int> counts;
  for (int32_t token : tokens)
    if (token >= 0 && token < vocabulary) ++counts[token];
  return counts;
}

void apply_penalties(const SampleRow& row, std::span<float> logits) {
  const SamplingParams& p = *row.params;
  const auto vocabulary = static_cast<int64_t>(logits.size());
  for (const auto& [token, bias] : p.logit_bias)
    if (token >= 0 && token < vocabulary) logits[static_cast<size_t>(token)] += bias;
  const auto logit = [&](int32_t token) -> float& { return logits[static_cast<size_t>(token)]; };
  if (p.repetition_penalty != 0)
    for (const auto& [token, n] : count(last(row.history, p.repetition_context_size), vocabulary))
      logit(token) = logit(token) < 0 ? logit(token) * p.repetition_penalty
                                      : logit(token) / p.repetition_penalty;
  if (p.presence_penalty != 0)
    for (const auto& [token, n] : count(last(row.history, p.presence_context_size), vocabulary))
      logit(token) -= p.presence_penalty;
  if (p.frequency_penalty != 0)
    for (const auto& [token, n] : count(last(row.history, p.frequency_context_size), vocabulary))
      logit(token) -= static_cast<float>(n) * p.frequency_penalty;
}

Logprobs log_softmax(std::span<const float> logits) {
  double highest = kRemoved;
  for (float logit : logits) highest = std::max<double>(highest, logit);
  double sum = 0;
  for (float logit : logits) sum += std::exp(logit - highest);
  const double log_sum = std::log(sum);
  Logprobs logprobs;
  for (float logit : logits) logprobs.push_back(logit - highest - log_sum);
  return logprobs;
}

// Token ids by falling log-probability, ties by rising id.
std::vector<int32_t> sorted_ids(const Logprobs& logprobs) {
  std::vector<int32_t> ids(logprobs.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    return logprobs[static_cast<size_t>(a)] > logprobs[static_cast<size_t>(b)];
  });
  return ids;
}

// Keeps the most likely tokens until their mass reaches p, and all that tie with the last of them.
void apply_top_p(Logprobs& logprobs, double top_p) {
  double total = 0;
  for (double logprob : logprobs) total += std::exp(logprob);
  double above = 0, threshold = kRemoved;
  for (int32_t id : sorted_ids(logprobs)) {
    if (above >= top_p * total) break;
    threshold = logprobs[static_cast<size_t>(id)];
    above += std::exp(threshold);
  }
  for (double& logprob : logprobs)
    if (logprob < threshold) logprob = kRemoved;
}

void apply_min_p(Logprobs& logprobs, double min_p, int32_t keep) {
  const std::vector<int32_t> ids = sorted_ids(logprobs);
  const double threshold = logprobs[static_cast<size_t>(ids[0])] + std::log(min_p);
  for (size_t i = static_cast<size_t>(std::max(keep, 1)); i < ids.size(); ++i)
    if (logprobs[static_cast<size_t>(ids[i])] < threshold)
      logprobs[static_cast<size_t>(ids[i])] = kRemoved;
}

// Removes what is more likely than the least likely token above the threshold.
void apply_xtc(Logprobs& logprobs, double threshold, const std::vector<int32_t>& special) {
  double total = 0;
  for (double logprob : logprobs) total += std::exp(logprob);
  double least = std::numeric_limits<double>::infinity();
  for (double logprob : logprobs)
    if (std::exp(logprob) / total > threshold) least = std::min(least, logprob);
  const std::set<int32_t> exempt(special.begin(), special.end());
  for (size_t i = 0; i < logprobs.size(); ++i)
    if (logprobs[i] > least && !exempt.count(static_cast<int32_t>(i))) logprobs[i] = kRemoved;
}

void apply_top_k(Logprobs& logprobs, int32_t top_k) {
  const std::vector<int32_t> ids = sorted_ids(logprobs);
  for (size_t i = static_cast<size_t>(top_k); i < ids.size(); ++i)
    logprobs[static_cast<size_t>(ids[i])] = kRemoved;
}

int32_t draw(const Logprobs& logprobs, double temperature, double random) {
  const double highest = *std::max_element(logprobs.begin(), logprobs.end());
  std::vector<double> weights;
  for (double logprob : logprobs) weights.push_back(std::exp((logprob - highest) / temperature));
  double left = random * std::accumulate(weights.begin(), weights.end(), 0.0);
  int32_t chosen = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    chosen = static_cast<int32_t>(i);
    left -= weights[i];
    if (left < 0) break;
  }
  return chosen;
}

int32_t choose(const SampleRow& row, Logprobs logprobs) {
  const SamplingParams& p = *row.params;
  if (!(p.temperature > 0)) return sorted_ids(logprobs)[0];
  if (p.top_p > 0 && p.top_p < 1) apply_top_p(logprobs, p.top_p);
  if (p.min_p > 0) apply_min_p(logprobs, p.min_p, p.min_tokens_to_keep);
  if (p.xtc_probability > 0 && uniform(p.seed, row.draw, RandomStream::kXtc) <= p.xtc_probability)
    apply_xtc(logprobs, p.xtc_threshold, p.xtc_special_tokens);
  if (p.top_k > 0 && static_cast<size_t>(p.top_k) < logprobs.size()) apply_top_k(logprobs, p.top_k);
  return draw(logprobs, p.temperature, uniform(p.seed, row.draw, RandomStream::kToken));
}

}  // namespace

void sample(Backend&, const SampleParams& p) {
  const auto vocabulary = static_cast<size_t>(p.logits.shape[1]);
  MICA_CHECK(p.logits.dtype == DType::kF32 && vocabulary >= 1);
  MICA_CHECK(p.rows.size() == static_cast<size_t>(p.logits.shape[0]));
  MICA_CHECK(p.results.size() == p.rows.size());
  for (size_t r = 0; r < p.rows.size(); ++r) {
    const SampleRow& row = p.rows[r];
    const std::span<float> logits(p.logits.as<float>() + r * vocabulary, vocabulary);
    const int32_t candidates = checked_allowed(row.allowed, p.logits.shape[1]);
    MICA_CHECK(row.given < p.logits.shape[1]);
    apply_penalties(row, logits);
    apply_mask(row.allowed, logits);
    const Logprobs logprobs = log_softmax(logits);
    SampleResult& result = p.results[r];
    result.token = row.given >= 0 ? row.given : choose(row, logprobs);
    result.logprob = static_cast<float>(logprobs[static_cast<size_t>(result.token)]);
    result.top.clear();
    if (row.top_logprobs <= 0) continue;
    const std::vector<int32_t> ids = sorted_ids(logprobs);
    for (size_t i = 0; i < static_cast<size_t>(std::min(candidates, row.top_logprobs)); ++i)
      result.top.push_back({ids[i], static_cast<float>(logprobs[static_cast<size_t>(ids[i])])});
  }
}

}  // namespace mica::ref

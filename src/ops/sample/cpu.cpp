#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/cpu/cpu_ops.h"
#include "ops/cpu/pick.h"
#include "ops/sample/filters.h"
#include "ops/sample/mask.h"
#include "ops/sample/random.h"
#include "ops/sample/sample.h"

namespace mica::cpu {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// One row of logits after the penalties.
struct Row {
  const kernels::SoftmaxKernel& kernel;
  const SampleRow& request;
  std::span<const float> logits;
  float highest;
  SampleWorkspace& work;
};

int32_t argmax(const Row& row) {
  for (size_t i = 0; i < row.logits.size(); ++i)
    if (row.logits[i] == row.highest) return static_cast<int32_t>(i);
  return 0;  // no number among them
}

void collect(const Row& row, float threshold) {
  row.work.ids.resize(row.logits.size() + 1);
  const int64_t count = row.kernel.collect(
      row.logits.data(), static_cast<int64_t>(row.logits.size()), threshold, row.work.ids.data());
  row.work.candidates.clear();
  for (int64_t i = 0; i < count; ++i) {
    const int32_t id = row.work.ids[static_cast<size_t>(i)];
    row.work.candidates.push_back({row.logits[static_cast<size_t>(id)], id});
  }
}

// Keeps the `count` highest candidates, ties to the lower id, in the order of their ids.
void keep_highest(std::vector<Candidate>& candidates, size_t count) {
  if (count >= candidates.size()) return;
  std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(count),
                   candidates.end(), [](const Candidate& a, const Candidate& b) {
                     return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
                   });
  candidates.resize(count);
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
}

void apply_min_p(const Row& row, float threshold, int32_t min_tokens_to_keep) {
  std::vector<Candidate>& candidates = row.work.candidates;
  const auto likely = [&](const Candidate& c) { return c.logit >= threshold; };
  const auto keep = static_cast<size_t>(std::max(min_tokens_to_keep, 1));
  if (static_cast<size_t>(std::count_if(candidates.begin(), candidates.end(), likely)) < keep)
    return keep_highest(candidates, keep);
  std::erase_if(candidates, [&](const Candidate& c) { return !likely(c); });
}

// Removes the candidates more likely than the least likely one above the threshold.
void apply_xtc(const Row& row) {
  const SamplingParams& p = *row.request.params;
  std::vector<Candidate>& candidates = row.work.candidates;
  const auto mass = [&](const Candidate& c) {
    return std::exp(static_cast<double>(c.logit) - row.highest);
  };
  double total = 0;
  for (const Candidate& c : candidates) total += mass(c);
  const double threshold = static_cast<double>(p.xtc_threshold) * total;
  float least = std::numeric_limits<float>::infinity();
  for (const Candidate& c : candidates)
    if (c.logit < least && mass(c) > threshold) least = c.logit;
  std::erase_if(candidates, [&](const Candidate& c) {
    return c.logit > least && std::find(p.xtc_special_tokens.begin(), p.xtc_special_tokens.end(),
                                        c.id) == p.xtc_special_tokens.end();
  });
}

// Fills work.candidates with what the filters leave, in the order of ids; false: everything.
bool filter(const Row& row) {
  const SamplingParams& p = *row.request.params;
  const bool top_p = p.top_p > 0 && p.top_p<1, min_p = p.min_p> 0;
  const bool top_k = p.top_k > 0 && static_cast<size_t>(p.top_k) < row.logits.size();
  const bool xtc = p.xtc_probability > 0 &&
                   uniform(p.seed, row.request.draw, RandomStream::kXtc) <= p.xtc_probability;
  constexpr int32_t kHeapTopK = 512;  // above it, selecting among all is faster
  if (!top_p && !min_p && !xtc) {
    if (!top_k) return false;
    if (p.top_k <= kHeapTopK) {
      take_highest(row.kernel, row.logits, static_cast<size_t>(p.top_k), row.work);
      std::sort(row.work.candidates.begin(), row.work.candidates.end(),
                [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
      return true;
    }
  }
  float threshold = kMinusInfinity;
  if (top_p) threshold = top_p_threshold(row.kernel, row.logits, row.highest, p.top_p, row.work);
  const float min_p_threshold =
      min_p ? static_cast<float>(row.highest + std::log(static_cast<double>(p.min_p)))
            : kMinusInfinity;
  if (p.min_tokens_to_keep <= 1) threshold = std::max(threshold, min_p_threshold);
  collect(row, threshold);
  if (min_p && p.min_tokens_to_keep > 1) apply_min_p(row, min_p_threshold, p.min_tokens_to_keep);
  if (xtc) apply_xtc(row);
  if (top_k) keep_highest(row.work.candidates, static_cast<size_t>(p.top_k));
  return true;
}

int32_t choose(const Row& row) {
  const SamplingParams& p = *row.request.params;
  if (!(p.temperature > 0) || !std::isfinite(row.highest)) return argmax(row);
  const float scale = std::min(1 / p.temperature, 1e30f);
  const double random = uniform(p.seed, row.request.draw, RandomStream::kToken);
  if (!filter(row))
    return draw_from_all(row.kernel, row.logits, row.highest, scale, random, row.work);
  if (row.work.candidates.empty()) return argmax(row);
  return draw_from_candidates(row.kernel, scale, random, row.work);
}

void sample_row(const kernels::SoftmaxKernel& kernel, const SampleRow& request,
                std::span<float> logits, SampleResult& result) {
  static thread_local SampleWorkspace work;
  const auto count = static_cast<int64_t>(logits.size());
  const int32_t candidates = checked_allowed(request.allowed, count);
  MICA_CHECK(request.given < count);
  apply_penalties(request, logits, work);
  apply_mask(request.allowed, logits);
  const float highest = kernel.max_of(logits.data(), count);
  const double log_sum = std::log(kernel.exp_sums(logits.data(), count, highest, 1, nullptr));
  const auto logprob = [&](float logit) {
    return static_cast<float>(static_cast<double>(logit) - highest - log_sum);
  };
  result.token =
      request.given >= 0 ? request.given : choose({kernel, request, logits, highest, work});
  result.logprob = logprob(logits[static_cast<size_t>(result.token)]);
  result.top.clear();
  if (request.top_logprobs <= 0) return;
  take_highest(kernel, logits, static_cast<size_t>(std::min(candidates, request.top_logprobs)),
               work);
  for (const Candidate& c : work.candidates) result.top.push_back({c.id, logprob(c.logit)});
}

}  // namespace

void sample(Backend& backend, const SampleParams& p) {
  const auto vocabulary = static_cast<size_t>(p.logits.shape[1]);
  MICA_CHECK(p.logits.dtype == DType::kF32 && vocabulary >= 1);
  MICA_CHECK(p.rows.size() == static_cast<size_t>(p.logits.shape[0]));
  MICA_CHECK(p.results.size() == p.rows.size());
  const kernels::SoftmaxKernel& kernel = softmax_kernel(backend);
  cpu_threads(backend).parallel_for(
      static_cast<int64_t>(p.rows.size()), 1, [&](int64_t begin, int64_t end, int) {
        for (auto r = static_cast<size_t>(begin); r < static_cast<size_t>(end); ++r)
          sample_row(kernel, p.rows[r], {p.logits.as<float>() + r * vocabulary, vocabulary},
                     p.results[r]);
      });
}

}  // namespace mica::cpu

// moe_route and moe_combine; moe_linear is in ops/linear/ref.cpp.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "ops/moe/moe.h"
#include "ops/ref/ref_ops.h"

namespace mica::ref {
namespace {

// softmax of the scores that `ids` names, in that order.
std::vector<double> softmax(const float* scores, const std::vector<int32_t>& ids) {
  double highest = scores[ids[0]];
  for (int32_t id : ids) highest = std::max<double>(highest, scores[id]);
  std::vector<double> result;
  double sum = 0;
  for (int32_t id : ids) {
    result.push_back(std::exp(scores[id] - highest));
    sum += result.back();
  }
  for (double& value : result) value /= sum;
  return result;
}

}  // namespace

void moe_route(Backend&, const MoeRouteParams& p) {
  const int64_t tokens = p.scores.shape[0], experts = p.scores.shape[1], chosen = p.ids.shape[1];
  MICA_CHECK(chosen >= 1 && chosen <= experts && p.scores.dtype == DType::kF32);
  MICA_CHECK(p.ids.shape == Shape({tokens, chosen}) && p.weights.shape == p.ids.shape);
  for (int64_t t = 0; t < tokens; ++t) {
    const float* scores = p.scores.as<float>() + t * experts;
    std::vector<int32_t> order(static_cast<size_t>(experts));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
    if (p.scoring == MoeRouteParams::Scoring::kTopKThenSoftmax)
      order.resize(static_cast<size_t>(chosen));
    const std::vector<double> weights = softmax(scores, order);
    double sum = 1;
    if (p.normalize) sum = std::accumulate(weights.begin(), weights.begin() + chosen, 0.0);
    for (int64_t j = 0; j < chosen; ++j) {
      p.ids.as<int32_t>()[t * chosen + j] = order[static_cast<size_t>(j)];
      p.weights.as<float>()[t * chosen + j] =
          static_cast<float>(weights[static_cast<size_t>(j)] / sum);
    }
  }
}

void moe_combine(Backend&, const MoeCombineParams& p) {
  const int64_t tokens = p.out.shape[0], size = p.out.shape[1], chosen = p.weights.shape[1];
  MICA_CHECK(p.x.shape == Shape({tokens * chosen, size}) && p.weights.shape[0] == tokens);
  MICA_CHECK(p.x.dtype == DType::kF32 && p.out.dtype == DType::kF32);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t i = 0; i < size; ++i) {
      double sum = p.add ? p.out.as<float>()[t * size + i] : 0;
      for (int64_t j = 0; j < chosen; ++j)
        sum += static_cast<double>(p.weights.as<float>()[t * chosen + j]) *
               p.x.as<float>()[(t * chosen + j) * size + i];
      p.out.as<float>()[t * size + i] = static_cast<float>(sum);
    }
  }
}

}  // namespace mica::ref

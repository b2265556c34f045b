// moe_route and moe_combine; moe_linear is in ops/linear.
#include <algorithm>

#include "ops/cpu/cpu_ops.h"
#include "ops/cpu/pick.h"
#include "ops/moe/moe.h"

namespace mica::cpu {
namespace {

// The `chosen` highest of the scores, highest first, ties to the lower id. `work` is overwritten.
void top_experts(float* work, int64_t experts, int64_t chosen, int32_t* ids) {
  for (int64_t j = 0; j < chosen; ++j) {
    int64_t best = -1;
    for (int64_t e = 0; e < experts; ++e)
      if (work[e] == work[e] && (best < 0 || work[e] > work[best])) best = e;
    // NaN scores never win; when nothing else is left, the lowest unused id.
    for (int64_t e = 0; best < 0; ++e)
      if (std::find(ids, ids + j, static_cast<int32_t>(e)) == ids + j) best = e;
    ids[j] = static_cast<int32_t>(best);
    work[best] = __builtin_nanf("");
  }
}

void route_token(const kernels::SoftmaxKernel& kernel, const MoeRouteParams& p, int64_t t,
                 float* work) {
  const int64_t experts = p.scores.shape[1], chosen = p.ids.shape[1];
  const float* scores = p.scores.as<float>() + t * experts;
  int32_t* ids = p.ids.as<int32_t>() + t * chosen;
  float* weights = p.weights.as<float>() + t * chosen;
  std::copy_n(scores, experts, work);
  top_experts(work, experts, chosen, ids);
  for (int64_t j = 0; j < chosen; ++j) weights[j] = scores[ids[j]];
  const float highest = weights[0];
  kernel.exp_weights(weights, chosen, highest, 1, weights);
  double total = 0;
  for (int64_t j = 0; j < chosen; ++j) total += weights[j];
  if (p.scoring == MoeRouteParams::Scoring::kSoftmaxThenTopK && !p.normalize)
    total = kernel.exp_sums(scores, experts, highest, 1, nullptr);
  for (int64_t j = 0; j < chosen; ++j)
    weights[j] = static_cast<float>(static_cast<double>(weights[j]) / total);
}

}  // namespace

void moe_route(Backend& backend, const MoeRouteParams& p) {
  const int64_t tokens = p.scores.shape[0], experts = p.scores.shape[1], chosen = p.ids.shape[1];
  MICA_CHECK(chosen >= 1 && chosen <= experts && p.scores.dtype == DType::kF32);
  MICA_CHECK(p.ids.shape == Shape({tokens, chosen}) && p.weights.shape == p.ids.shape);
  const kernels::SoftmaxKernel& kernel = softmax_kernel(backend);
  ThreadPool& pool = cpu_threads(backend);
  const int64_t per_thread = (experts + 15) / 16 * 16;
  auto* scratch = static_cast<float*>(
      cpu_scratch(backend, static_cast<size_t>(per_thread * pool.size()) * sizeof(float)));
  const int64_t grain = 1 + 8192 / (experts * chosen);
  pool.parallel_for(tokens, grain, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t t = begin; t < end; ++t) route_token(kernel, p, t, scratch + thread * per_thread);
  });
}

void moe_combine(Backend& backend, const MoeCombineParams& p) {
  const int64_t tokens = p.out.shape[0], size = p.out.shape[1], chosen = p.weights.shape[1];
  MICA_CHECK(p.x.shape == Shape({tokens * chosen, size}) && p.weights.shape[0] == tokens);
  MICA_CHECK(p.x.dtype == DType::kF32 && p.out.dtype == DType::kF32);
  const int64_t grain = 1 + 16384 / (size * chosen + 1);
  cpu_threads(backend).parallel_for(tokens, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      float* out = p.out.as<float>() + t * size;
      if (!p.add) std::fill_n(out, size, 0.0f);
      for (int64_t j = 0; j < chosen; ++j) {
        const float weight = p.weights.as<float>()[t * chosen + j];
        const float* x = p.x.as<float>() + (t * chosen + j) * size;
        for (int64_t i = 0; i < size; ++i) out[i] += weight * x[i];
      }
    }
  });
}

}  // namespace mica::cpu

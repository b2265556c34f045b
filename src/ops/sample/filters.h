// The steps of sampling on the CPU, each without sorting the vocabulary. Definitions: sample.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/cpu/softmax_kernel.h"
#include "ops/sample/sample.h"

namespace mica::cpu {

struct Candidate {
  float logit;
  int32_t id;
};

// Memory that a thread keeps between rows.
struct SampleWorkspace {
  std::vector<Candidate> candidates;
  std::vector<int32_t> ids;
  std::vector<float> scores, narrowed, weights;
  std::vector<double> sums;
};

// Logit bias and penalties, in place.
void apply_penalties(const SampleRow& row, std::span<float> logits, SampleWorkspace& work);

// The `count` highest logits, highest first, ties to the lower id, into work.candidates.
void take_highest(const kernels::SoftmaxKernel& kernel, std::span<const float> logits, size_t count,
                  SampleWorkspace& work);

// The lowest logit that top_p keeps: the most likely tokens until their mass reaches
// top_p * total; `highest` is the largest logit.
float top_p_threshold(const kernels::SoftmaxKernel& kernel, std::span<const float> logits,
                      float highest, double top_p, SampleWorkspace& work);

// Draws by `random` in [0, 1) from exp((logit - highest) * scale) over all logits, or over
// work.candidates in rising order of their ids.
int32_t draw_from_all(const kernels::SoftmaxKernel& kernel, std::span<const float> logits,
                      float highest, float scale, double random, SampleWorkspace& work);
int32_t draw_from_candidates(const kernels::SoftmaxKernel& kernel, float scale, double random,
                             SampleWorkspace& work);

}  // namespace mica::cpu

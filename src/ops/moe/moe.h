#pragma once

#include "ops/backend.h"

namespace mica {

// The k experts with the highest scores of each token, highest first, ties to the lower id.
struct MoeRouteParams {
  enum class Scoring : uint8_t {
    kSoftmaxThenTopK,  // probabilities over all experts, then the k largest (qwen3_moe)
    kTopKThenSoftmax,  // softmax over the k chosen scores (mixtral, gpt_oss)
  } scoring = Scoring::kSoftmaxThenTopK;
  bool normalize = true;  // divide the k weights by their sum
  Tensor scores;          // f32 [T, E]
  Tensor ids;             // i32 [T, k]
  Tensor weights;         // f32 [T, k]
};

// out[t] = sum_j weights[t, j] * x[t * k + j], in the order of j; out += … with `add`.
struct MoeCombineParams {
  Tensor x;        // [T * k, D]
  Tensor weights;  // f32 [T, k]
  Tensor out;      // [T, D]
  bool add = false;
};

}  // namespace mica

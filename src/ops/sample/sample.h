#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "ops/backend.h"

namespace mica {

// How one request draws. Names, order and definitions are mlx-lm's (docs/sampling.md):
// logit bias, repetition, presence, frequency -> mask -> log-softmax -> temperature 0: argmax, else
// top_p -> min_p -> XTC -> top_k on the un-tempered probabilities -> draw from softmax(logprobs /
// temp).
struct SamplingParams {
  float temperature = 0;
  float top_p = 1;  // active when 0 < top_p < 1
  float min_p = 0;
  int32_t min_tokens_to_keep = 1;
  int32_t top_k = 0;  // 0 = off
  float xtc_probability = 0;
  float xtc_threshold = 0.1f;               // 0 .. 0.5
  std::vector<int32_t> xtc_special_tokens;  // exempt: newline and end of sequence
  float repetition_penalty = 0;             // 0 or 1 = off; l < 0 ? l * p : l / p
  int32_t repetition_context_size = 20;
  float presence_penalty = 0;
  int32_t presence_context_size = 20;
  float frequency_penalty = 0;
  int32_t frequency_context_size = 20;
  std::vector<std::pair<int32_t, float>> logit_bias;
  uint64_t seed = 0;  // draws depend on (seed, index of the generated token) and nothing else
};

// One row of logits to draw from.
struct SampleRow {
  const SamplingParams* params = nullptr;
  std::span<const int32_t> history;  // prompt and generated tokens so far, for the penalties
  uint64_t draw = 0;                 // index of the token within its answer, from 0
  int32_t top_logprobs = 0;          // how many alternatives to return
  // Bit t % 32 of word t / 32: token t may be drawn; (V + 31) / 32 words with at least one token,
  // empty: all may. The others have probability 0 and are no alternatives.
  std::span<const uint32_t> allowed;
  int32_t given = -1;  // a token of the vocabulary: it is the result, nothing is drawn; -1: draw
};

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;
};

struct SampleResult {
  int32_t token = 0;
  float logprob = 0;              // after penalties and mask, before the filters
  std::vector<TokenLogprob> top;  // highest first, ties to the lower id
};

struct SampleParams {
  Tensor logits;                    // f32 [R, V]; overwritten
  std::span<const SampleRow> rows;  // R
  std::span<SampleResult> results;  // R, host
};

}  // namespace mica

// Log-probabilities of the tokens of prompts: each as if it had been generated after those before.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/side_work.h"
#include "ops/kv_quantization.h"
#include "ops/sample/sample.h"

namespace mica {

struct PromptScorerOptions {
  int32_t piece_tokens = 512;            // at most; fewer where their logits take more than 64 MiB
  KvQuantOptions kv_quant;               // the engine's
  const AdapterSet* adapters = nullptr;  // the engine's; it outlives the scorer
};

class PromptScorer {
 public:
  // All of them outlive this.
  PromptScorer(Backend& backend, Model& model, Engine& engine, const PromptScorerOptions& options);

  int32_t max_tokens() const { return work_.max_tokens(); }  // of one sequence

  // For each sequence of token ids what its tokens from the second on would report if they had been
  // generated, without bias, penalties or mask: element i is of token i + 1, its log-probability
  // and the `top` likeliest tokens in its place. The same bits whatever the others are and however
  // they are cut where the device promises that for a step. Thread-safe. `stop` is asked before
  // each piece; once it says true, what is left is not computed and the result is empty.
  // `adapter`: as in Request. Throws Error(kUsage) for an empty or too long sequence, for a token
  // outside the vocabulary, an adapter that is gone and a model that is an encoder, Error(kDevice)
  // when the engine has failed, Error(kCheckpoint) for logits that are no numbers.
  std::vector<std::vector<SampleResult>> score(std::span<const std::vector<int32_t>> sequences,
                                               int32_t top, const std::function<bool()>& stop = {},
                                               int64_t adapter = 0);

 private:
  bool score_one(Sequence& sequence, int32_t top, const std::function<bool()>& stop,
                 std::span<SampleResult> results);
  void run(const Slice& slice, int32_t top, std::span<SampleResult> results);

  Backend& backend_;
  Model& model_;
  const int32_t piece_tokens_;
  SideWork work_;
};

}  // namespace mica

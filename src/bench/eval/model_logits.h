// Logits of a model that runs in this process.
#pragma once

#include <vector>

#include "bench/eval/perplexity.h"
#include "engine/single.h"

namespace mica {

class ModelLogits : public LogitSource {
 public:
  // Sequences of up to `context` tokens. `backend` and `model` outlive this.
  ModelLogits(Backend& backend, Model& model, int32_t context, const KvQuantOptions& kv_quant = {});

  int64_t vocab_size() const override;
  void restart() override { runner_.rewind(); }
  void skip(std::span<const int32_t> tokens) override;
  std::span<const float> append(std::span<const int32_t> tokens) override;

 private:
  Backend& backend_;
  Model& model_;
  DirectRunner runner_;
  std::vector<float> logits_;
};

}  // namespace mica

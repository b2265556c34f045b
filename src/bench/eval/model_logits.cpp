#include "bench/eval/model_logits.h"

#include "base/error.h"

namespace mica {

ModelLogits::ModelLogits(Backend& backend, Model& model, int32_t context,
                         const KvQuantOptions& kv_quant)
    : backend_(backend),
      model_(model),
      runner_(backend, model, 1, context, kLogitRows, kLogitRows, kv_quant) {}

int64_t ModelLogits::vocab_size() const {
  return model_.config().vocab_size;
}

void ModelLogits::skip(std::span<const int32_t> tokens) {
  runner_.step(tokens);
}

std::span<const float> ModelLogits::append(std::span<const int32_t> tokens) {
  MICA_CHECK(tokens.size() <= kLogitRows);
  const Tensor rows = runner_.step(tokens, /*all_rows=*/true);
  logits_.resize(static_cast<size_t>(rows.elements()));
  backend_.synchronize();
  backend_.download(logits_.data(), rows.data, rows.bytes());
  return logits_;
}

}  // namespace mica

// Any bytes as config.json: what comes through keeps the limits that loaders rely on.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "checkpoint/quantization_table.h"
#include "model/config.h"
#include "model/pooling.h"

namespace {

void check(const mica::ModelConfig& c) {
  MICA_CHECK(c.hidden_size > 0 && c.num_hidden_layers > 0 && c.vocab_size > 0);
  MICA_CHECK(c.head_dim > 0 && c.head_dim % 2 == 0);
  MICA_CHECK(c.num_key_value_heads > 0 && c.num_attention_heads % c.num_key_value_heads == 0);
  MICA_CHECK(c.num_experts_per_tok <= c.num_experts && c.decoder_sparse_step > 0);
  MICA_CHECK(std::isfinite(c.rope.theta) && c.rope.theta >= 1 && c.rope.factor > 0);
  MICA_CHECK(c.sliding_layers.empty() ||
             (c.sliding_layers.size() == static_cast<size_t>(c.num_hidden_layers) &&
              c.sliding_window > 0));
  int64_t bytes;
  MICA_CHECK(!__builtin_mul_overflow(c.hidden_size, c.intermediate_size, &bytes));
  MICA_CHECK(c.position_offset >= 0 && c.max_position_embeddings > 0);
  MICA_CHECK(!__builtin_mul_overflow(bytes, 8 * (c.num_experts + 1), &bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    check(mica::parse_model_config(text));
  } catch (const mica::Error&) {
  }
  try {
    const std::string folder = mica::parse_pooling_modules(text).pooling_folder;
    MICA_CHECK(folder.find('/') == folder.npos && folder != "..");
  } catch (const mica::Error&) {
  }
  try {
    mica::parse_pooling(text);
  } catch (const mica::Error&) {
  }
  try {
    MICA_CHECK(mica::parse_sentence_length(text) >= 0);
  } catch (const mica::Error&) {
  }
  try {
    const auto table = mica::QuantizationTable::parse(text);
    MICA_CHECK(!table.general() || mica::is_supported(*table.general()));
  } catch (const mica::Error&) {
  }
  return 0;
}

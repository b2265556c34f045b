#include "bench/eval/model_logits.h"

#include <gtest/gtest.h>

#include <cmath>

#include "checkpoint/synthetic.h"
#include "model/config.h"

namespace mica {
namespace {

constexpr const char* kConfig = R"({
  "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
  "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 300,
  "rms_norm_eps": 1e-5, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
  "max_position_embeddings": 512, "rope_theta": 10000})";

struct Fixture {
  explicit Fixture(int bits) : backend(make_backend({.device = "cpu", .threads = 1})) {
    SyntheticWeights weights({.scheme = {QuantMode::kAffine, bits, 32}});
    model = load_model(parse_model_config(kConfig), weights, *backend);
  }
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
};

std::vector<int32_t> some_tokens(int count) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((i * 37 + i * i * 11) % 300);
  return tokens;
}

TEST(ModelLogits, PiecesSayTheSameAsAllAtOnce) {
  Fixture f(4);
  const std::vector<int32_t> tokens = some_tokens(300);
  const std::vector<float> all = all_logits(*f.backend, *f.model, tokens);
  double nll = 0;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    const float* row = all.data() + i * 300;
    double sum = 0;
    for (int j = 0; j < 300; ++j) sum += std::exp(double{row[j]});
    nll += std::log(sum) - row[tokens[i + 1]];
  }
  ModelLogits source(*f.backend, *f.model, 400);
  const Perplexity found =
      measure_perplexity(source, {}, tokens, windows_of(tokens.size(), {400, 200, 0}));
  EXPECT_EQ(found.tokens, 299);
  EXPECT_NEAR(found.mean_nll, nll / 299, 1e-5);
  // Later windows begin anew.
  const Perplexity windows =
      measure_perplexity(source, {}, tokens, windows_of(tokens.size(), {100, 50, 0}));
  EXPECT_EQ(windows.tokens, 299);
  EXPECT_NE(windows.mean_nll, found.mean_nll);
  const Perplexity again =
      measure_perplexity(source, {}, tokens, windows_of(tokens.size(), {100, 50, 0}));
  EXPECT_EQ(windows.mean_nll, again.mean_nll);
}

TEST(ModelLogits, OneBackendHoldsTwoModels) {
  Fixture f(8);
  SyntheticWeights weights({.scheme = {QuantMode::kAffine, 4, 32}});
  const auto other = load_model(parse_model_config(kConfig), weights, *f.backend);
  const std::vector<int32_t> tokens = some_tokens(100);
  const auto windows = windows_of(tokens.size(), {64, 32, 0});
  ModelLogits a(*f.backend, *f.model, 64), b(*f.backend, *other, 64), c(*f.backend, *f.model, 64);
  EXPECT_GT(measure_divergence(a, b, {}, tokens, windows).mean, 0);
  const Divergence same = measure_divergence(a, c, {}, tokens, windows);
  EXPECT_EQ(same.max, 0);
  EXPECT_EQ(same.top, (Proportion{99, 99}));
}

}  // namespace
}  // namespace mica

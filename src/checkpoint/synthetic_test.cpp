#include "checkpoint/synthetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "checkpoint/checkpoint.h"
#include "checkpoint/shapes.h"
#include "checkpoint/synthetic_files.h"
#include "checkpoint/test_files.h"

namespace mica {
namespace {

std::vector<QuantScheme> all_schemes() {
  std::vector<QuantScheme> schemes = {
      {}, {QuantMode::kMxfp4, 4, 32}, {QuantMode::kMxfp8, 8, 32}, {QuantMode::kNvfp4, 4, 16}};
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const int group : {32, 64, 128}) schemes.push_back({QuantMode::kAffine, bits, group});
  return schemes;
}

TEST(Synthetic, WeightsHaveMeanZeroAndKeepTheSizeOfActivations) {
  for (const QuantScheme& scheme : all_schemes()) {
    SyntheticWeights source({.scheme = scheme, .seed = 3});
    const LinearWeights w = source.linear("a.proj", 40, 1024, 3);
    EXPECT_EQ(w.scheme, scheme);
    std::vector<float> row(1024);
    double sum = 0, squares = 0;
    for (int64_t e = 0; e < 3; ++e)
      for (int64_t n = 0; n < 40; ++n) {
        dequantize_row(w, e, n, row.data());
        for (const float value : row) {
          ASSERT_TRUE(std::isfinite(value));
          sum += value;
          squares += value * value;
        }
      }
    const double count = 3 * 40 * 1024;
    const double gain = std::sqrt(squares / count * 1024);  // of a unit activation
    EXPECT_NEAR(sum / count, 0, 0.001) << to_string(scheme);
    EXPECT_GT(gain, 0.6) << to_string(scheme);
    EXPECT_LT(gain, 1.5) << to_string(scheme);
    source.release(w);
  }
}

TEST(Synthetic, ValuesDependOnSeedAndNameAlone) {
  const auto bytes = [](uint64_t seed, int threads, const char* name, const QuantScheme& scheme) {
    SyntheticWeights source({.scheme = scheme, .seed = seed, .threads = threads});
    source.linear("another", 3, 64);
    const LinearWeights w = source.linear(name, 1200, 2048);
    return std::string(w.weight.as<char>(), w.weight.bytes());
  };
  for (const QuantScheme& scheme : {QuantScheme{}, QuantScheme{QuantMode::kAffine, 8, 64}}) {
    const std::string one = bytes(1, 1, "a", scheme);
    EXPECT_EQ(one, bytes(1, 3, "a", scheme));
    EXPECT_NE(one, bytes(2, 1, "a", scheme));
    EXPECT_NE(one, bytes(1, 1, "b", scheme));
    // No chunk repeats another.
    EXPECT_NE(one.substr(0, 64), one.substr(1 << 20, 64));
  }
}

TEST(Synthetic, RoutersAndOddColumnsAreDense) {
  SyntheticWeights source({.biased = {"q_proj"}, .present = {"lm_head"}});
  EXPECT_EQ(source.linear("model.layers.0.mlp.gate", 8, 64).scheme.mode, QuantMode::kNone);
  EXPECT_EQ(source.linear("a", 8, 72).scheme.mode, QuantMode::kNone);
  EXPECT_EQ(source.linear("model.layers.0.mlp.gate_proj", 8, 64).scheme.bits, 4);
  EXPECT_FALSE(source.linear("self_attn.q_proj", 8, 64).bias.empty());
  EXPECT_TRUE(source.linear("self_attn.k_proj", 8, 64).bias.empty());
  EXPECT_TRUE(source.has("lm_head"));
  EXPECT_TRUE(source.has("language_model.lm_head"));
  EXPECT_FALSE(source.has("model.norm"));
  const Tensor norm = source.parameter("model.norm.weight", {4});
  EXPECT_EQ(bf16_to_f32(norm.as<uint16_t>()[3]), 1);
}

// What a loader would do.
void ask(WeightSource& source) {
  source.release(source.linear("model.embed_tokens", 50, 128));
  source.release(source.linear("model.layers.0.self_attn.q_proj", 64, 128));
  source.release(source.linear("model.layers.0.mlp.gate", 4, 128));
  source.release(source.linear("model.layers.0.mlp.switch_mlp.up_proj", 32, 128, 4));
  source.parameter("model.norm.weight", {128});
}

TEST(Synthetic, FilesHoldTheSameWeights) {
  for (const QuantScheme& scheme : all_schemes())
    for (const size_t shard_bytes : {size_t{5} << 30, size_t{9000}}) {
      const TempFolder folder;
      SyntheticWeights source({.scheme = scheme, .seed = 5, .biased = {"q_proj"}});
      RecordingWeights recording(source);
      ask(recording);
      ASSERT_EQ(recording.requests().size(), 5u);
      const SyntheticFiles files =
          write_synthetic_checkpoint(folder.path(), R"({"model_type": "llama", "quantization": 3})",
                                     recording.requests(), source, shard_bytes);
      EXPECT_EQ(files.shards == 1, shard_bytes > 9000);
      Checkpoint checkpoint(folder.path());
      EXPECT_EQ(checkpoint.file_bytes(), files.bytes);
      int64_t parameters = 0;
      for (const ModuleSummary& module : checkpoint.modules()) parameters += module.parameters;
      EXPECT_EQ(parameters, files.parameters + 64);  // the additive bias is not a weight
      ask(checkpoint);
      EXPECT_TRUE(checkpoint.unread().empty());
      for (const int64_t experts : {1, 4}) {
        const char* path = experts == 1 ? "model.layers.0.self_attn.q_proj"
                                        : "model.layers.0.mlp.switch_mlp.up_proj";
        const LinearWeights want = source.linear(path, experts == 1 ? 64 : 32, 128, experts);
        const LinearWeights found = checkpoint.linear(path, experts == 1 ? 64 : 32, 128, experts);
        EXPECT_EQ(found.scheme, scheme);
        EXPECT_EQ(std::memcmp(want.weight.data, found.weight.data, want.weight.bytes()), 0);
        EXPECT_EQ(want.bytes(), found.bytes());
        EXPECT_EQ(found.bias.empty(), experts == 4);
      }
    }
}

TEST(Shapes, ShippedConfigs) {
  EXPECT_EQ(shipped_config_names().size(), 6u);
  for (const std::string& name : shipped_config_names())
    EXPECT_NE(shipped_config(name)->find("\"model_type\""), std::string::npos);
  EXPECT_TRUE(shipped_config("qwen3-0.6b").has_value());
  EXPECT_FALSE(shipped_config("qwen3-0.6").has_value());
}

}  // namespace
}  // namespace mica

#include "cli/convert/gguf_metadata.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cli/convert/convert_test.h"
#include "model/rope.h"

namespace mica {
namespace {

GgufHeader keys_of(const std::string& model_type, const std::string& more = "") {
  GgufHeader header;
  for (auto& [key, value] : gguf_model_metadata(parse_model_config(small_config(model_type, more)),
                                                *find_gguf_architecture(model_type), "name"))
    header.metadata.emplace(key, value);
  return header;
}

std::string error_of(const std::string& model_type, const std::string& more) {
  return checkpoint_error([&] { keys_of(model_type, more); });
}

TEST(GgufMetadata, SizesHaveTheArchitecturesPrefix) {
  const GgufHeader keys = keys_of("llama");
  EXPECT_EQ(keys.string("general.architecture"), "llama");
  EXPECT_EQ(keys.string("general.name"), "name");
  const std::pair<const char*, uint64_t> counts[] = {{"vocab_size", 300},
                                                     {"context_length", 64},
                                                     {"embedding_length", 128},
                                                     {"block_count", 2},
                                                     {"feed_forward_length", 192},
                                                     {"attention.head_count", 4},
                                                     {"attention.head_count_kv", 2},
                                                     {"attention.key_length", 32},
                                                     {"attention.value_length", 32},
                                                     {"rope.dimension_count", 32}};
  for (const auto& [key, value] : counts)
    EXPECT_EQ(keys.unsigned_integer(std::string("llama.") + key), value) << key;
  EXPECT_EQ(keys.number("llama.attention.layer_norm_rms_epsilon"), double{1e-6f});
  EXPECT_EQ(keys.number("llama.rope.freq_base"), 10000);
  EXPECT_EQ(keys.find("llama.rope.scaling.type"), nullptr);
}

TEST(GgufMetadata, Rotations) {
  const GgufHeader linear =
      keys_of("qwen2", R"(, "rope_scaling": {"type": "linear", "factor": 2.5})");
  EXPECT_EQ(linear.string("qwen2.rope.scaling.type"), "linear");
  EXPECT_EQ(linear.number("qwen2.rope.scaling.factor"), 2.5);
  const GgufHeader yarn = keys_of("qwen3", R"(, "rope_scaling": {"type": "yarn", "factor": 4.0,
                                          "original_max_position_embeddings": 16})");
  EXPECT_EQ(yarn.string("qwen3.rope.scaling.type"), "yarn");
  EXPECT_EQ(yarn.unsigned_integer("qwen3.rope.scaling.original_context_length"), 16u);
  EXPECT_EQ(yarn.number("qwen3.rope.scaling.yarn_beta_fast"), 32);
}

TEST(GgufMetadata, DivisorsGiveTheModelsOwnFrequencies) {
  const ModelConfig config = parse_model_config(small_config(
      "llama", R"(, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                  "high_freq_factor": 4.0, "original_max_position_embeddings": 32})"));
  const auto tensors = gguf_rope_tensors(config);
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_EQ(tensors[0].first, "rope_freqs.weight");
  const std::vector<float> wanted =
      make_rope_table(config.rope, config.rope.theta, 32, 64).inverse_frequencies;
  ASSERT_EQ(tensors[0].second.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double plain = std::pow(10000.0, -2.0 * static_cast<double>(i) / 32);
    EXPECT_NEAR(plain / double{tensors[0].second[i]} / double{wanted[i]}, 1, 1e-6) << i;
  }
  EXPECT_FLOAT_EQ(tensors[0].second.back(), 8);
  EXPECT_TRUE(gguf_rope_tensors(parse_model_config(small_config("llama"))).empty());
}

TEST(GgufMetadata, WindowsOfGemma) {
  const GgufHeader keys = keys_of("gemma3_text", R"(, "query_pre_attn_scalar": 32,
      "sliding_window": 5, "sliding_window_pattern": 2, "rope_local_base_freq": 1e4)");
  EXPECT_EQ(keys.unsigned_integer("gemma3.attention.sliding_window"), 5u);
  EXPECT_EQ(keys.unsigned_integer("gemma3.attention.sliding_window_pattern"), 2u);
  EXPECT_EQ(keys.number("gemma3.rope.freq_base_swa"), 10000);
}

TEST(GgufMetadata, WhatLlamaCppCantComputeIsRefused) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"llama", R"(, "rope_scaling": {"type": "dynamic", "factor": 2.0})", "'dynamic'"},
      {"qwen2", R"(, "rope_scaling": {"rope_type": "llama3", "factor": 8.0})", "'llama3'"},
      {"qwen3", R"(, "rope_traditional": true)", "rope_traditional"},
      {"llama", R"(, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"])",
       "sliding layers"},
      {"gemma3_text", R"(, "query_pre_attn_scalar": 100)", "query_pre_attn_scalar"},
      {"llama", R"(, "hidden_act": "gelu")", "hidden_act"},
      {"qwen3_moe", R"(, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
                       "norm_topk_prob": false)",
       "norm_topk_prob"}};
  for (const auto& [type, more, part] : cases) {
    const std::string error = error_of(type, more);
    EXPECT_NE(error.find(part), std::string::npos) << type << more << "\n" << error;
    EXPECT_NE(error.find("llama.cpp knows"), std::string::npos) << error;
  }
}

}  // namespace
}  // namespace mica

#include "model/config.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/test_files.h"

namespace mica {
namespace {

// A small llama with `extra` fields, which win over the first ones of the same key.
std::string llama(const std::string& extra = "", const std::string& type = "llama") {
  return R"({"hidden_size": 64, "num_hidden_layers": 4, "intermediate_size": 128,
             "num_attention_heads": 8, "rms_norm_eps": 1e-5, "vocab_size": 1000,
             "model_type": ")" +
         type + "\"" + (extra.empty() ? "" : ", " + extra) + "}";
}

std::string qwen3(const std::string& extra = "", const std::string& type = "qwen3") {
  return llama(R"("num_key_value_heads": 2, "head_dim": 16, "rope_theta": 1000000)" +
                   (extra.empty() ? "" : ", " + extra),
               type);
}

TEST(ModelConfig, LlamaDefaultsAreThoseOfTheReference) {
  const ModelConfig config = parse_model_config(llama());
  EXPECT_EQ(config.model_type, "llama");
  EXPECT_EQ(config.num_key_value_heads, 8);
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.rope.theta, 10000);
  EXPECT_EQ(config.rope.type, "default");
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_FALSE(config.attention_bias);
  EXPECT_FALSE(config.mlp_bias);
  EXPECT_FLOAT_EQ(config.rms_norm_eps, 1e-5f);
  EXPECT_TRUE(config.sliding_layers.empty());
  EXPECT_TRUE(config.eos_token_ids.empty());
  EXPECT_EQ(config.bos_token_id, -1);
  EXPECT_EQ(config.dtype, DType::kBF16);
  EXPECT_EQ(config.weight_prefix, "");
}

TEST(ModelConfig, NullCountsAsAbsent) {
  const ModelConfig config =
      parse_model_config(llama(R"("head_dim": null, "rope_scaling": null, "sliding_window": null,
               "num_key_value_heads": null, "eos_token_id": null)"));
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.num_key_value_heads, 8);
}

TEST(ModelConfig, OtherNamesOfLlama) {
  EXPECT_EQ(parse_model_config(llama("", "mistral")).model_type, "mistral");
  EXPECT_EQ(parse_model_config(llama("", "iquestcoder")).model_type, "llama");
  // The window of old Mistral configs alone changes nothing in the reference.
  EXPECT_TRUE(
      parse_model_config(llama(R"("sliding_window": 4096)", "mistral")).sliding_layers.empty());
}

TEST(ModelConfig, LlamaLayerTypes) {
  const ModelConfig config = parse_model_config(llama(
      R"("sliding_window": 32, "layer_types": ["full_attention", "sliding_attention",
         "sliding_attention", "full_attention"])"));
  EXPECT_EQ(config.sliding_layers, (std::vector<bool>{false, true, true, false}));
  EXPECT_EQ(config.sliding_window, 32);
}

TEST(ModelConfig, Qwen2) {
  const ModelConfig config = parse_model_config(
      llama(R"("num_key_value_heads": 4, "use_sliding_window": true, "sliding_window": 16,
               "max_window_layers": 2)",
            "qwen2"));
  EXPECT_TRUE(config.attention_bias);
  EXPECT_EQ(config.rope.theta, 1000000);
  EXPECT_EQ(config.max_position_embeddings, 32768);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_TRUE(config.sliding_layers.empty());  // as the reference: no windows in qwen2
}

TEST(ModelConfig, Qwen3AndItsExperts) {
  const ModelConfig dense = parse_model_config(qwen3(R"("tie_word_embeddings": true)"));
  EXPECT_EQ(dense.head_dim, 16);
  EXPECT_EQ(dense.rope.theta, 1000000);
  EXPECT_TRUE(dense.tie_word_embeddings);
  const ModelConfig moe = parse_model_config(qwen3(
      R"("num_experts": 16, "num_experts_per_tok": 4, "moe_intermediate_size": 32,
         "decoder_sparse_step": 2, "mlp_only_layers": [3], "norm_topk_prob": true)",
      "qwen3_moe"));
  EXPECT_EQ(moe.num_experts, 16);
  EXPECT_EQ(moe.num_experts_per_tok, 4);
  EXPECT_EQ(moe.moe_intermediate_size, 32);
  EXPECT_EQ(moe.decoder_sparse_step, 2);
  EXPECT_EQ(moe.mlp_only_layers, std::vector<int64_t>{3});
  EXPECT_TRUE(moe.norm_topk_prob);
  EXPECT_FALSE(moe.tie_word_embeddings);
}

TEST(ModelConfig, Gemma3TextDefaults) {
  const ModelConfig config = parse_model_config(R"({"model_type": "gemma3_text"})");
  EXPECT_EQ(config.hidden_size, 1152);
  EXPECT_EQ(config.num_hidden_layers, 26);
  EXPECT_EQ(config.intermediate_size, 6912);
  EXPECT_EQ(config.num_attention_heads, 4);
  EXPECT_EQ(config.num_key_value_heads, 1);
  EXPECT_EQ(config.head_dim, 256);
  EXPECT_EQ(config.vocab_size, 262144);
  EXPECT_EQ(config.rope.theta, 1000000);
  EXPECT_EQ(config.rope_local_theta, 10000);
  EXPECT_EQ(config.query_pre_attn_scalar, 256);
  EXPECT_EQ(config.sliding_window, 512);
  EXPECT_EQ(config.activation, Activation::kGeluTanh);
  ASSERT_EQ(config.sliding_layers.size(), 26u);
  for (size_t i = 0; i < 26; ++i) EXPECT_EQ(config.sliding_layers[i], i % 6 != 5) << i;
}

TEST(ModelConfig, Gemma3OfVisionCheckpoints) {
  const ModelConfig config = parse_model_config(
      R"({"model_type": "gemma3", "eos_token_id": [1, 106], "torch_dtype": "bfloat16",
          "text_config": {"model_type": "gemma3_text", "hidden_size": 2560,
                          "num_hidden_layers": 34, "sliding_window": 1024,
                          "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}})");
  EXPECT_EQ(config.model_type, "gemma3");
  EXPECT_EQ(config.weight_prefix, "language_model.");
  EXPECT_EQ(config.num_attention_heads, 8);
  EXPECT_EQ(config.num_key_value_heads, 4);
  EXPECT_EQ(config.vocab_size, 262208);
  EXPECT_EQ(config.rope.type, "linear");
  EXPECT_EQ(config.rope.factor, 8);
  EXPECT_EQ(config.sliding_window, 1024);
  EXPECT_EQ(config.eos_token_ids, (std::vector<int32_t>{1, 106}));
}

TEST(ModelConfig, Gemma3OfNewerTransformers) {
  const ModelConfig config = parse_model_config(
      R"({"model_type": "gemma3_text", "num_hidden_layers": 2, "dtype": "float16",
          "layer_types": ["full_attention", "sliding_attention"],
          "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 500000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 20000.0}}})");
  EXPECT_EQ(config.rope.theta, 500000);
  EXPECT_EQ(config.rope.factor, 8);
  EXPECT_EQ(config.rope_local_theta, 20000);
  EXPECT_EQ(config.sliding_layers, (std::vector<bool>{false, true}));
  EXPECT_EQ(config.dtype, DType::kF16);
}

TEST(ModelConfig, RopeOfEveryType) {
  const ModelConfig llama3 = parse_model_config(llama(
      R"("rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 32,
         "low_freq_factor": 1.0, "high_freq_factor": 4.0,
         "original_max_position_embeddings": 4096})"));
  EXPECT_EQ(llama3.rope.type, "llama3");
  EXPECT_EQ(llama3.rope.factor, 32);
  EXPECT_EQ(llama3.rope.original_max_position, 4096);
  EXPECT_EQ(parse_model_config(llama(R"("rope_scaling": {"rope_type": "llama3", "factor": 2})"))
                .rope.original_max_position,
            8192);
  const RopeConfig yarn =
      parse_model_config(
          llama(
              R"("rope_scaling": {"type": "deepseek_yarn", "rope_type": "linear", "factor": 4,
         "beta_fast": 16, "mscale_all_dim": 0.5})"))
          .rope;
  EXPECT_EQ(yarn.type, "yarn");
  EXPECT_EQ(yarn.original_max_position, 4096);
  EXPECT_EQ(yarn.beta_fast, 16);
  EXPECT_EQ(yarn.beta_slow, 1);
  EXPECT_EQ(yarn.mscale_all_dim, 0.5f);
  const RopeConfig dynamic =
      parse_model_config(
          llama(
              R"("max_position_embeddings": 777, "rope_scaling": {"type": "dynamic", "factor": 2})"))
          .rope;
  EXPECT_EQ(dynamic.original_max_position, 777);
  const RopeConfig longrope =
      parse_model_config(
          llama(
              R"("original_max_position_embeddings": 64, "rope_scaling": {"type": "longrope",
         "short_factor": 1.5, "long_factor": [1, 2, 3, 4]}, "rope_traditional": true)"))
          .rope;
  EXPECT_FALSE(longrope.interleaved);
  EXPECT_EQ(longrope.short_factor, (std::vector<float>{1.5f, 1.5f, 1.5f, 1.5f}));
  EXPECT_EQ(longrope.long_factor, (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(parse_model_config(llama(R"("rope_scaling": {"type": "mrope"})")).rope.type, "default");
  EXPECT_EQ(parse_model_config(llama(R"("rope_scaling": {"factor": 2})")).rope.type, "default");
  const RopeConfig newer =
      parse_model_config(
          llama(
              R"("rope_parameters": {"rope_type": "linear", "rope_theta": 70000, "factor": 3},
         "rope_traditional": true)"))
          .rope;
  EXPECT_EQ(newer.theta, 70000);
  EXPECT_EQ(newer.factor, 3);
  EXPECT_TRUE(newer.interleaved);
}

struct Hostile {
  std::string config;
  const char* message;  // a part of it
};

TEST(ModelConfig, HostileValuesAreNamed) {
  const Hostile cases[] = {
      {"", "expected JSON"},
      {"[]", "config.json: expected a JSON object, found a list of 0 values"},
      {"{}", "key 'model_type': expected a string, found nothing"},
      {R"({"model_type": null})", "found null"},
      {R"({"model_type": "mamba"})", "found \"mamba\""},
      {R"({"model_type": "llama"})",
       "key 'hidden_size': expected an integer from 1 to 1048576, found nothing"},
      {llama(R"("hidden_size": -64)"),
       "key 'hidden_size': expected an integer from 1 to 1048576, found -64"},
      {llama(R"("hidden_size": 1e300)"), "key 'hidden_size'"},
      {llama(R"("hidden_size": 64.5)"), "found 64.5"},
      {llama(R"("hidden_size": "64")"), "found \"64\""},
      {llama(R"("hidden_size": [64])"), "found a list of 1 values"},
      {llama(R"("hidden_size": true)"), "found true"},
      {llama(R"("hidden_size": 18446744073709551615)"), "found 18446744073709551615"},
      {llama(R"("hidden_size": 1e999)"), "expected JSON"},
      {llama(R"("hidden_size": NaN)"), "expected JSON"},
      {llama(R"("num_hidden_layers": 1000000000)"), "expected an integer from 1 to 4096"},
      {llama(R"("vocab_size": 0)"), "key 'vocab_size'"},
      {llama(R"("num_attention_heads": 7)"), "expected a divisor of hidden_size 64"},
      {llama(R"("num_attention_heads": 64)"), "key 'head_dim': expected an even number"},
      {llama(R"("num_key_value_heads": 3)"), "expected a divisor of num_attention_heads 8"},
      {llama(R"("num_key_value_heads": 0)"), "key 'num_key_value_heads'"},
      {llama(R"("head_dim": 15)"), "key 'head_dim': expected an even number"},
      {llama(R"("rms_norm_eps": "small")"), "key 'rms_norm_eps': expected a number"},
      {llama(R"("rms_norm_eps": -1)"), "key 'rms_norm_eps'"},
      {llama(R"("rope_theta": 0)"), "key 'rope_theta'"},
      {llama(R"("rope_theta": {"__float__": "NaN"})"), "key 'rope_theta': expected a number"},
      {llama(R"("rope_scaling": 4)"), "key 'rope_scaling': expected an object, found 4"},
      {llama(R"("rope_scaling": {"type": "spiral"})"),
       "rope_scaling: key 'type': expected default"},
      {llama(R"("rope_scaling": {"type": "linear"})"), "key 'factor': expected a number"},
      {llama(R"("rope_scaling": {"type": "linear", "factor": 0})"), "key 'factor'"},
      {llama(R"("rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4})"),
       "key 'high_freq_factor': expected more than low_freq_factor 4, found 4"},
      {llama(R"("rope_scaling": {"type": "longrope", "short_factor": 1, "long_factor": 1})"),
       "key 'original_max_position_embeddings'"},
      {llama(R"("original_max_position_embeddings": 8, "rope_scaling": {"type": "longrope",
               "short_factor": [1, 2], "long_factor": 1})"),
       "key 'short_factor': expected a list of 4 positive numbers, found a list of 2"},
      {llama(R"("original_max_position_embeddings": 8, "rope_scaling": {"type": "longrope",
               "short_factor": 1, "long_factor": [1, 2, 0, "x"]})"),
       "key 'long_factor': expected a list of 4 positive numbers, found 0"},
      {llama(R"("layer_types": ["full_attention"])"), "expected a list of 4 names"},
      {llama(R"("layer_types": ["full_attention", 1, 2, 3])"), "found 1"},
      {llama(R"("layer_types": ["full_attention", "full_attention", "full_attention",
               "sliding_attention"])"),
       "key 'sliding_window': expected an integer"},
      {llama(R"("hidden_act": "relu")"), "key 'hidden_act'"},
      {llama(R"("attention_bias": 1)"), "key 'attention_bias': expected true or false, found 1"},
      {llama(R"("tie_word_embeddings": "no")"), "key 'tie_word_embeddings'"},
      {llama(R"("eos_token_id": -2)"), "key 'eos_token_id'"},
      {llama(R"("eos_token_id": [1, "2"])"), "found \"2\""},
      {llama(R"("bos_token_id": [1])"), "key 'bos_token_id'"},
      {llama(R"("torch_dtype": 16)"), "key 'torch_dtype': expected a string, found 16"},
      {llama("", "qwen3"), "key 'rope_theta'"},
      {qwen3("", "qwen3_moe"), "key 'num_experts'"},
      {qwen3(R"("num_experts": 4, "num_experts_per_tok": 5)", "qwen3_moe"),
       "key 'num_experts_per_tok': expected an integer from 1 to 4, found 5"},
      {qwen3(R"("num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8,
               "decoder_sparse_step": 0)",
             "qwen3_moe"),
       "key 'decoder_sparse_step'"},
      {R"({"model_type": "gemma3"})", "key 'text_config': expected an object, found nothing"},
      {R"({"model_type": "gemma3", "text_config": {"hidden_size": -1}})",
       "config.json: text_config: key 'hidden_size'"},
      {R"({"model_type": "gemma3_text", "sliding_window_pattern": 0})",
       "key 'sliding_window_pattern'"},
      {R"({"model_type": "gemma3_text", "query_pre_attn_scalar": 0})",
       "key 'query_pre_attn_scalar'"},
      {"{\"a\": " + std::string(100, '[') + std::string(100, ']') + "}", "at most 64 levels"},
      {"{\"a\": " + std::string(1000000, '['), "at most 64 levels"},
  };
  for (const Hostile& hostile : cases) {
    const std::string message = error_message([&] { parse_model_config(hostile.config); });
    EXPECT_NE(message.find(hostile.message), std::string::npos)
        << "'" << message << "' lacks '" << hostile.message << "'";
    EXPECT_LT(message.size(), 500u);
  }
}

TEST(ModelConfig, GenerationConfigOverridesTheEnd) {
  const TempFolder folder;
  const auto eos = [&](const std::string& generation) {
    write_text_file(folder.path() / "generation_config.json", generation);
    return load_model_config(folder.path()).eos_token_ids;
  };
  write_text_file(folder.path() / "config.json", llama(R"("eos_token_id": 7)"));
  EXPECT_EQ(load_model_config(folder.path()).eos_token_ids, std::vector<int32_t>{7});
  EXPECT_EQ(eos(R"({"eos_token_id": [5, 6, 5]})"), (std::vector<int32_t>{5, 6}));
  EXPECT_EQ(eos(R"({"eos_token_id": 9})"), std::vector<int32_t>{9});
  EXPECT_EQ(eos(R"({"temperature": 0.6})"), std::vector<int32_t>{7});
  EXPECT_EQ(eos("{ not json"), std::vector<int32_t>{7});
  EXPECT_NE(error_message([&] {
              eos(R"({"eos_token_id": "x"})");
            }).find("generation_config.json: key 'eos_token_id'"),
            std::string::npos);
}

TEST(ModelConfig, MissingFile) {
  const TempFolder folder;
  EXPECT_NE(error_message([&] { load_model_config(folder.path()); }).find("config.json"),
            std::string::npos);
}

}  // namespace
}  // namespace mica

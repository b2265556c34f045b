#include "bench/plan/model_facts.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/plan/test_models.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

ModelFacts with_config(const std::string& quantization, TensorSet& tensors) {
  const TempFolder folder;
  write_model(folder.path(), quantization, tensors);
  return inspect_model(folder.path());
}

TEST(ModelFacts, Mlx) {
  const TempFolder folder;
  write_mlx(folder.path());
  EXPECT_EQ(detect_format(folder.path()), "mlx");
  const ModelFacts facts = inspect_model(folder.path());
  EXPECT_EQ(facts.format, "mlx");
  EXPECT_EQ(facts.architecture, "qwen3");
  EXPECT_EQ(facts.quantization, "affine");
  EXPECT_EQ(facts.quantization_text, "affine 4 bits, groups of 64");
  EXPECT_EQ(facts.parameters, 64 * 256);
  EXPECT_EQ(facts.context, 40960);
  EXPECT_EQ(facts.files, 1);
  EXPECT_EQ(facts.kv.full, 2 * 8 * 128 * 2);
  EXPECT_EQ(facts.kv.heads, 8);
  EXPECT_GE(facts.weight_bytes, 64u * 256 / 2 + 2 * 64 * 4 * 2);
}

TEST(ModelFacts, Dense) {
  const TempFolder folder;
  write_dense(folder.path());
  const ModelFacts facts = inspect_model(folder.path());
  EXPECT_EQ(facts.format, "safetensors");
  EXPECT_EQ(facts.quantization, "bf16");
  EXPECT_EQ(facts.parameters, 64 * 256);
}

TEST(ModelFacts, WhatATokenOfAPromptIsMultipliedWith) {
  const TempFolder folder;
  TensorSet tensors;
  tensors.add("model.embed_tokens.weight", DType::kBF16, {1000, 8});
  tensors.add("lm_head.weight", DType::kBF16, {1000, 8});
  tensors.add("visual.blocks.0.weight", DType::kBF16, {8, 8});
  tensors.add("model.layers.0.self_attn.q_proj.weight", DType::kBF16, {8, 8});
  tensors.add("model.layers.0.mlp.experts.0.up_proj.weight", DType::kBF16, {16, 8});
  tensors.add("model.layers.0.mlp.experts.1.up_proj.weight", DType::kBF16, {16, 8});
  write_model(folder.path(), R"("num_experts": 2, "num_experts_per_tok": 1)", tensors);
  const ModelFacts facts = inspect_model(folder.path());
  EXPECT_EQ(facts.parameters, 2 * 8000 + 64 + 64 + 2 * 128);
  EXPECT_EQ(facts.prefill_parameters, 64 + 128);
}

TEST(ModelFacts, Exl3) {
  const TempFolder folder;
  write_exl3(folder.path());
  EXPECT_EQ(detect_format(folder.path()), "exl3");
  const ModelFacts facts = inspect_model(folder.path());
  EXPECT_EQ(facts.quantization, "exl3");
  EXPECT_EQ(facts.parameters, 16 * 4 * 256);
}

TEST(ModelFacts, Gguf) {
  const TempFolder folder;
  const fs::path file = folder.path() / "m-Q8_0.gguf";
  write_gguf(file);
  EXPECT_EQ(detect_format(file), "gguf");
  EXPECT_EQ(detect_format(folder.path()), "gguf");
  const ModelFacts facts = inspect_model(file);
  EXPECT_EQ(facts.format, "gguf");
  EXPECT_EQ(facts.architecture, "qwen3");
  EXPECT_EQ(facts.quantization, "q8_0");
  EXPECT_EQ(facts.parameters, 64 * 256);
  EXPECT_EQ(facts.prefill_parameters, 64 * 256);
  EXPECT_EQ(facts.context, 40960);
  EXPECT_EQ(facts.kv.full, 2 * 8 * 128 * 2);
  EXPECT_EQ(facts.kv.sliding, 0);
  EXPECT_EQ(facts.weight_bytes, fs::file_size(file));
}

// Every other scheme by what its tools write into config.json.
TEST(ModelFacts, ForeignSchemes) {
  const std::string q = "\"quantization_config\": ";
  const auto groups = [](const char* format, const char* weights) {
    return std::string(R"({"quant_method": "compressed-tensors", "format": ")") + format +
           R"(", "config_groups": {"group_0": {"weights": )" + weights + "}}}";
  };
  const struct {
    std::string config, scheme;
    const char* name;
    DType dtype;
    Shape shape;
  } cases[] = {
      {q + R"({"quant_method": "awq", "bits": 4, "group_size": 128})",
       "awq",
       ".qweight",
       DType::kI32,
       {256, 8}},
      {q + R"({"quant_method": "gptq", "bits": 8, "group_size": 128})",
       "gptq",
       ".qweight",
       DType::kI32,
       {64, 64}},
      {q + R"({"quant_method": "fp8", "weight_block_size": [128, 128]})",
       "fp8-block",
       ".weight",
       DType::kU8,
       {64, 256}},
      {q + R"({"quant_method": "fp8"})", "fp8", ".weight", DType::kU8, {64, 256}},
      {q + groups("float-quantized", R"({"num_bits": 8, "strategy": "channel"})"),
       "fp8",
       ".weight",
       DType::kU8,
       {64, 256}},
      {q + groups("pack-quantized", R"({"num_bits": 4})"),
       "int4",
       ".weight_packed",
       DType::kI32,
       {64, 32}},
      {q + groups("int-quantized", R"({"num_bits": 8})"), "int8", ".weight", DType::kI8, {64, 256}},
      {q + groups("nvfp4-pack-quantized", R"({"num_bits": 4})"),
       "nvfp4",
       ".weight_packed",
       DType::kU8,
       {64, 128}},
      {q + R"({"quant_method": "modelopt", "quant_algo": "NVFP4"})",
       "nvfp4",
       ".weight",
       DType::kU8,
       {64, 128}},
      {q + R"({"quant_method": "mxfp4"})", "mxfp4", "_blocks", DType::kU8, {64, 128}},
      {q + R"({"quant_method": "bitsandbytes", "load_in_4bit": true})",
       "bitsandbytes",
       ".weight",
       DType::kU8,
       {64, 128}},
  };
  for (const auto& c : cases) {
    TensorSet tensors;
    tensors.add("model.layers.0.mlp.up_proj" + std::string(c.name), c.dtype, c.shape);
    tensors.add("model.layers.0.mlp.up_proj.weight_scale", DType::kF32, {64});
    const ModelFacts facts = with_config(c.config, tensors);
    EXPECT_EQ(facts.quantization, c.scheme) << c.config;
    EXPECT_EQ(facts.parameters, 64 * 256) << c.config;
  }
}

TEST(ModelFacts, NvidiasSideFile) {
  const TempFolder folder;
  TensorSet tensors;
  tensors.add("x.weight", DType::kU8, {64, 128});
  write_model(folder.path(), "", tensors);
  write_text_file(folder.path() / "hf_quant_config.json",
                  R"({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4"}})");
  EXPECT_EQ(inspect_model(folder.path()).quantization, "nvfp4");
}

// ---- Shapes of keys and values.

ModelFacts from_config(const std::string& json) {
  ModelFacts facts;
  read_model_config(json, facts);
  return facts;
}

TEST(ModelFacts, KindsOfAttention) {
  const std::string base =
      R"("hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 12)";
  const auto kv = [&](const std::string& more) {
    return from_config("{" + base + ", " + more + "}").kv;
  };
  const int64_t layer = 2 * 16 * 2;
  EXPECT_EQ(kv(R"("model_type": "llama")").full, 12 * layer);
  const KvShape gemma = kv(R"("model_type": "gemma3_text", "sliding_window": 512)");
  EXPECT_EQ(gemma.full, 2 * layer);
  EXPECT_EQ(gemma.sliding, 10 * layer);
  EXPECT_EQ(gemma.window, 512);
  EXPECT_EQ(kv(R"("model_type": "qwen2", "sliding_window": 512, "use_sliding_window": false)").full,
            12 * layer);
  const KvShape named =
      kv(R"("sliding_window": 128, "layer_types": ["full_attention", "sliding_attention"])");
  EXPECT_EQ(named.full, layer);
  EXPECT_EQ(named.sliding, layer);
  const KvShape hybrid = kv(
      R"("full_attention_interval": 4, "linear_num_value_heads": 8, "linear_key_head_dim": 16, "linear_value_head_dim": 16)");
  EXPECT_EQ(hybrid.full, 3 * layer);
  EXPECT_EQ(hybrid.state_bytes, 9 * 8 * 16 * 16 * 4);
  const KvShape latent = kv(R"("kv_lora_rank": 512, "qk_rope_head_dim": 64)");
  EXPECT_EQ(latent.full, 12 * (512 + 64));
  EXPECT_EQ(latent.heads, 1);
  EXPECT_EQ(kv(R"("hybrid_override_pattern": "M-M*M-M*")").full, 2 * layer);
}

TEST(ModelFacts, NestedConfigurationsAndSpellings) {
  const ModelFacts facts = from_config(
      R"({"model_type": "qwen3_vl", "vision_config": {}, "text_config": {"num_hidden_layers": 3,
          "num_attention_heads": 2, "head_dim": 8, "n_positions": 77, "n_routed_experts": 5,
          "num_experts_per_tok": 2}})");
  EXPECT_EQ(facts.architecture, "qwen3_vl");
  EXPECT_TRUE(facts.vision);
  EXPECT_EQ(facts.context, 77);
  EXPECT_EQ(facts.experts, 5);
  EXPECT_EQ(facts.experts_used, 2);
  EXPECT_DOUBLE_EQ(expert_share(facts), 0.4);
  EXPECT_EQ(facts.kv.full, 3 * 2 * 8 * 2);
}

TEST(ModelFacts, BytesOfKeysAndValues) {
  KvShape shape;
  shape.full = 1000;
  shape.sliding = 500;
  shape.window = 10;
  shape.state_bytes = 7;
  EXPECT_EQ(kv_bytes(shape, 100, 16), 2u * (1000 * 100 + 500 * 10) + 7);
  EXPECT_EQ(kv_bytes(shape, 5, 16), 2u * (1000 * 5 + 500 * 5) + 7);
  EXPECT_EQ(kv_bytes(shape, 100, 8), 105000u + 105000 / 16 + 7);
  EXPECT_EQ(kv_bytes({.full = INT64_MAX}, INT64_MAX, 16), uint64_t{1} << 62);
}

TEST(ModelFacts, WhatIsNoModel) {
  const TempFolder folder;
  EXPECT_NE(error_message([&] { inspect_model(folder.path()); }).find("found neither"),
            std::string::npos);
  write_text_file(folder.path() / "config.json", "{}");
  EXPECT_NE(error_message([&] { inspect_model(folder.path()); }).find("model.safetensors"),
            std::string::npos);
  write_text_file(folder.path() / "config.json", R"({"num_hidden_layers": "many"})");
  EXPECT_NE(error_message([&] { inspect_model(folder.path()); }).find("num_hidden_layers"),
            std::string::npos);
}

TEST(ModelFacts, AScaledRopeReachesFurther) {
  const auto context = [](const std::string& rope) {
    ModelFacts facts;
    read_model_config(
        R"({"num_attention_heads": 16, "max_position_embeddings": 4096, "rope_scaling": )" + rope +
            "}",
        facts);
    EXPECT_EQ(facts.attention_heads, 16);
    return facts.context;
  };
  EXPECT_EQ(context("null"), 4096);
  EXPECT_EQ(context(R"({"factor": 4.0, "original_max_position_embeddings": 4096})"), 16384);
  EXPECT_EQ(context(R"({"factor": 8.0, "original_max_position_embeddings": 512})"), 4096);
  EXPECT_EQ(context(R"({"factor": 8.0})"), 4096);  // of what, is not said
}

}  // namespace
}  // namespace mica

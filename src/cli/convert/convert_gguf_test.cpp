// Whole checkpoints converted, read back and compared weight by weight.
#include "cli/convert/convert_gguf.h"

#include <gtest/gtest.h>

#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/gguf_blocks.h"
#include "cli/convert/convert_test.h"
#include "model/layers.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

// A checkpoint, its GGUF file, and what both say of a weight.
class Converted {
 public:
  Converted(const fs::path& checkpoint, const fs::path& output, const GgufTypeChoice& types = {})
      : report_(convert_to_gguf({checkpoint, output, "test", types, ""})),
        model_(output),
        checkpoint_(checkpoint) {}

  const ConvertReport& report() const { return report_; }
  const GgufHeader& header() const { return model_.metadata(); }
  Checkpoint& checkpoint() { return checkpoint_; }
  const GgufTensor* tensor(const std::string& name) const {
    const auto found = model_.find(name);
    return found ? found->tensor : nullptr;
  }
  // Row n of all experts' rows in the file.
  std::vector<float> row(const std::string& name, int64_t n) const {
    const GgufModel::Found found = *model_.find(name);
    const int64_t columns = found.tensor->shape[-1];
    const GgufTypeInfo& type = gguf_type(found.tensor->type);
    const size_t bytes = static_cast<size_t>(columns) / type.block * type.bytes;
    std::vector<float> values(static_cast<size_t>(columns));
    decode_gguf_row(type.type,
                    found.file->data(*found.tensor).data() + static_cast<size_t>(n) * bytes,
                    columns, values.data());
    return values;
  }

 private:
  ConvertReport report_;
  GgufModel model_;
  Checkpoint checkpoint_;
};

std::vector<float> stored_row(const LinearWeights& w, int64_t expert, int64_t row) {
  std::vector<float> values(static_cast<size_t>(w.columns));
  dequantize_row(w, expert, row, values.data());
  return values;
}

// Every matrix of the file against the checkpoint; how many rows.
int64_t compare_matrices(Converted& converted) {
  int64_t rows = 0;
  for (const GgufPlanItem& item : converted.report().items) {
    if (item.path.empty()) continue;
    const LinearWeights w =
        converted.checkpoint().linear(item.path, item.rows, item.columns, item.experts);
    for (int64_t n = 0; n < item.experts * item.rows; ++n, ++rows) {
      const int64_t row = n % item.rows;
      const int64_t from = item.order.empty() ? row : item.order[static_cast<size_t>(row)];
      EXPECT_EQ(converted.row(item.name, n), stored_row(w, n / item.rows, from)) << item.name;
    }
  }
  return rows;
}

TEST(ConvertGguf, TheDemoModelIsExact) {
  const TempFolder folder;
  Converted demo(source_path("models/demo"), folder.path() / "demo.gguf");
  EXPECT_EQ(demo.header().string("general.architecture"), "qwen3");
  EXPECT_EQ(demo.header().unsigned_integer("qwen3.block_count"), 6u);
  EXPECT_EQ(demo.header().unsigned_integer("qwen3.attention.key_length"), 64u);
  EXPECT_EQ(demo.header().unsigned_integer("general.file_type"), 3u);
  EXPECT_EQ(demo.header().string("tokenizer.ggml.pre"), "qwen2");
  EXPECT_TRUE(demo.header().string("tokenizer.chat_template").has_value());
  EXPECT_EQ(demo.tensor("blk.5.ffn_down.weight")->type, GgufType::kQ4_1);
  EXPECT_EQ(demo.tensor("blk.0.attn_q_norm.weight")->type, GgufType::kF32);
  EXPECT_EQ(demo.tensor("output.weight"), nullptr);  // tied
  EXPECT_EQ(demo.report().file_bytes, fs::file_size(folder.path() / "demo.gguf"));
  for (const GgufPlanItem& item : demo.report().items) EXPECT_EQ(item.fit.changed, 0) << item.name;
  EXPECT_GT(compare_matrices(demo), 4096);
}

TEST(ConvertGguf, EveryArchitectureAndFormat) {
  const std::string moe =
      R"(, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
         "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": [])";
  const std::string gemma = R"(, "query_pre_attn_scalar": 32)";
  const std::pair<const char*, std::string> models[] = {{"llama", R"(, "attention_bias": true)"},
                                                        {"mistral", ""},
                                                        {"qwen2", ""},
                                                        {"qwen3", ""},
                                                        {"qwen3_moe", moe},
                                                        {"gemma3_text", gemma}};
  const QuantScheme schemes[] = {{QuantMode::kAffine, 4, 64},
                                 {QuantMode::kAffine, 5, 32},
                                 {QuantMode::kAffine, 8, 64},
                                 {QuantMode::kMxfp4, 4, 32},
                                 {}};
  for (const auto& [type, more] : models)
    for (const QuantScheme& scheme : schemes) {
      const TempFolder folder;
      write_small_checkpoint(folder.path() / "m", small_config(type, more), scheme);
      Converted converted(folder.path() / "m", folder.path() / "m.gguf");
      EXPECT_GT(compare_matrices(converted), 1000) << type << " " << to_string(scheme);
      for (const GgufPlanItem& item : converted.report().items)
        EXPECT_EQ(item.fit.changed, 0) << type << " " << to_string(scheme) << " " << item.name;
    }
}

TEST(ConvertGguf, HeadsOfLlamaAreReordered) {
  const TempFolder folder;
  write_small_checkpoint(folder.path() / "m", small_config("llama", R"(, "attention_bias": true)"));
  Converted converted(folder.path() / "m", folder.path() / "m.gguf");
  const LinearWeights q =
      converted.checkpoint().linear("model.layers.1.self_attn.q_proj", 128, 128);
  const LinearWeights v = converted.checkpoint().linear("model.layers.1.self_attn.v_proj", 64, 128);
  const std::vector<float> bias = read_vector(q.bias, 0);
  const std::vector<float> written = converted.row("blk.1.attn_q.bias", 0);
  for (int64_t head = 0; head < 4; ++head)
    for (int64_t i = 0; i < 16; ++i) {
      const int64_t even = head * 32 + 2 * i, low = head * 32 + i;
      EXPECT_EQ(converted.row("blk.1.attn_q.weight", even), stored_row(q, 0, low));
      EXPECT_EQ(converted.row("blk.1.attn_q.weight", even + 1), stored_row(q, 0, low + 16));
      EXPECT_EQ(written[static_cast<size_t>(even)], bias[static_cast<size_t>(low)]);
      EXPECT_EQ(written[static_cast<size_t>(even + 1)], bias[static_cast<size_t>(low + 16)]);
    }
  for (int64_t row = 0; row < 64; ++row)
    EXPECT_EQ(converted.row("blk.1.attn_v.weight", row), stored_row(v, 0, row));
}

TEST(ConvertGguf, HeadsThatRotateNeighboursAlreadyStay) {
  const TempFolder folder;
  write_small_checkpoint(folder.path() / "m",
                         small_config("llama", R"(, "rope_traditional": true)"));
  Converted converted(folder.path() / "m", folder.path() / "m.gguf");
  const LinearWeights k = converted.checkpoint().linear("model.layers.0.self_attn.k_proj", 64, 128);
  for (int64_t row = 0; row < 64; ++row)
    EXPECT_EQ(converted.row("blk.0.attn_k.weight", row), stored_row(k, 0, row));
}

TEST(ConvertGguf, GemmaNormsHaveOneAdded) {
  const TempFolder folder;
  write_small_checkpoint(folder.path() / "m",
                         small_config("gemma3_text", R"(, "query_pre_attn_scalar": 32)"),
                         {QuantMode::kAffine, 4, 64}, 0.3f);
  Converted converted(folder.path() / "m", folder.path() / "m.gguf");
  const float stored = bf16_to_f32(f32_to_bf16(0.3f));
  const float wanted = bf16_to_f32(f32_to_bf16(1 + stored));  // mlx adds in bf16
  for (const char* name : {"output_norm.weight", "blk.0.attn_norm.weight", "blk.1.ffn_norm.weight",
                           "blk.1.post_attention_norm.weight", "blk.0.attn_k_norm.weight"})
    EXPECT_EQ(converted.row(name, 0)[0], wanted) << name;
}

TEST(ConvertGguf, RoutersAreF32) {
  const TempFolder folder;
  write_small_checkpoint(folder.path() / "m",
                         small_config("qwen3_moe", R"(, "num_experts": 6, "num_experts_per_tok": 2,
                            "moe_intermediate_size": 64, "norm_topk_prob": true)"));
  Converted converted(folder.path() / "m", folder.path() / "m.gguf");
  EXPECT_EQ(converted.tensor("blk.0.ffn_gate_inp.weight")->type, GgufType::kF32);
  EXPECT_EQ(converted.tensor("blk.0.ffn_up_exps.weight")->type, GgufType::kQ4_1);
  EXPECT_EQ(converted.tensor("blk.0.ffn_up_exps.weight")->shape, (Shape{6, 64, 128}));
  EXPECT_EQ(converted.header().unsigned_integer("qwen3moe.expert_used_count"), 2u);
}

TEST(ConvertGguf, AnAskedTypeHoldsForAllMatrices) {
  const TempFolder folder;
  write_small_checkpoint(folder.path() / "m", small_config("llama"));
  const Converted converted(folder.path() / "m", folder.path() / "m.gguf",
                            {.type = GgufType::kF16});
  EXPECT_EQ(converted.tensor("token_embd.weight")->type, GgufType::kF16);
  EXPECT_EQ(converted.tensor("blk.0.attn_q.weight")->type, GgufType::kF16);
  EXPECT_EQ(converted.tensor("output_norm.weight")->type, GgufType::kF32);
}

TEST(ConvertGguf, OtherModelsAreRefused) {
  const TempFolder folder;
  fs::create_directories(folder.path() / "m");
  write_text_file(folder.path() / "m/config.json",
                  R"({"model_type": "bert", "hidden_size": 128, "num_hidden_layers": 2,
                     "intermediate_size": 192, "num_attention_heads": 4, "vocab_size": 300,
                     "max_position_embeddings": 64, "type_vocab_size": 2})");
  const std::string error = checkpoint_error([&] {
    convert_to_gguf({folder.path() / "m", folder.path() / "m.gguf", "", {}, ""});
  });
  EXPECT_NE(error.find("expected one of llama, mistral"), std::string::npos) << error;
  EXPECT_FALSE(fs::exists(folder.path() / "m.gguf"));
}

}  // namespace
}  // namespace mica

#include "checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "checkpoint/test_files.h"
#include "test_data.h"

namespace mica {
namespace {

constexpr const char* kAffine4 = R"({"quantization": {"group_size": 64, "bits": 4}})";

// A folder with config.json and the tensors in model.safetensors.
std::unique_ptr<TempFolder> folder_of(const std::string& config, TensorSet& tensors) {
  auto folder = std::make_unique<TempFolder>();
  write_text_file(folder->path() / "config.json", config);
  tensors.write(folder->path() / "model.safetensors");
  return folder;
}

void expect_error(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << "'" << message << "' lacks '" << part << "'";
}

float value_at(const Tensor& tensor, int64_t i) {
  float value;
  to_f32(static_cast<char*>(tensor.data) + size_t(i) * size_of(tensor.dtype), tensor.dtype, 1,
         &value);
  return value;
}

// Copies one golden module under the name "layer" and opens it.
class Schemes : public testing::Test {
 protected:
  const SafetensorsFile golden_{source_path("tests/golden/checkpoint/schemes.safetensors")};

  // dequantize_row against mlx.dequantize: the same bits in f32. In f16 and bf16 mlx rounds the
  // product and the sum, half a unit in the last place each, of the larger of product and bias.
  void check(const std::string& name, const std::string& config, const QuantScheme& scheme,
             int64_t experts = 1) {
    SCOPED_TRACE(name);
    std::vector<NamedTensor> tensors;
    for (const char* leaf : {"weight", "scales", "biases"})
      if (const SafetensorsEntry* entry = golden_.find(name + "." + leaf))
        tensors.push_back({std::string("layer.") + leaf, golden_.view(*entry)});
    const TempFolder folder;
    write_text_file(folder.path() / "config.json", config);
    write_safetensors(folder.path() / "model.safetensors", tensors);
    Checkpoint checkpoint(folder.path());
    const LinearWeights weights = checkpoint.linear("layer", 3, 128, experts);
    EXPECT_EQ(weights.scheme, scheme) << to_string(weights.scheme);
    const Tensor expected = golden_.view(*golden_.find(name + ".dequantized"));
    std::vector<float> row(128);
    for (int64_t e = 0; e < experts; ++e)
      for (int64_t n = 0; n < 3; ++n) {
        dequantize_row(weights, e, n, row.data());
        for (int64_t k = 0; k < 128; ++k) {
          const float want = value_at(expected, (e * 3 + n) * 128 + k);
          const float digits = expected.dtype == DType::kBF16  ? 0x1p-7f
                               : expected.dtype == DType::kF16 ? 0x1p-10f
                                                               : 0;
          const int64_t group = (e * 3 + n) * (128 / scheme.group) + k / scheme.group;
          const float bias = weights.biases.empty() ? 0 : value_at(weights.biases, group);
          const float product = row[size_t(k)] - bias;
          const float magnitude = std::max({std::abs(want), std::abs(product), std::abs(bias)});
          ASSERT_LE(std::abs(row[size_t(k)] - want), digits * magnitude)
              << "expert " << e << " row " << n << " column " << k;
        }
      }
  }
};

TEST_F(Schemes, AffineAgreesWithMlx) {
  for (const char* dtype : {"f32", "f16", "bf16"})
    for (const int bits : {2, 3, 4, 5, 6, 8})
      for (const int group : {32, 64, 128})
        check(fmt::format("affine_{}_{}_{}", bits, group, dtype),
              fmt::format(R"({{"quantization": {{"group_size": {}, "bits": {}}}}})", group, bits),
              {QuantMode::kAffine, bits, group});
}

TEST_F(Schemes, FloatFormatsAgreeWithMlx) {
  check("mxfp4", R"({"quantization": {"group_size": 32, "bits": 4, "mode": "mxfp4"}})",
        {QuantMode::kMxfp4, 4, 32});
  check("mxfp8", R"({"quantization": {"group_size": 32, "bits": 8, "mode": "mxfp8"}})",
        {QuantMode::kMxfp8, 8, 32});
  check("nvfp4", R"({"quantization": {"group_size": 16, "bits": 4, "mode": "nvfp4"}})",
        {QuantMode::kNvfp4, 4, 16});
  check("mxfp4", R"({"quantization_config": {"quant_method": "mxfp4"}})",
        {QuantMode::kMxfp4, 4, 32});
}

TEST_F(Schemes, StackOfExperts) {
  check("stack", kAffine4, {QuantMode::kAffine, 4, 64}, 2);
}

TEST_F(Schemes, UnnamedModulesAreAsStored) {
  check("affine_6_32_bf16", kAffine4, {QuantMode::kAffine, 6, 32});
  check("affine_2_64_f16", kAffine4, {QuantMode::kAffine, 2, 64});
  check("nvfp4", kAffine4, {QuantMode::kNvfp4, 4, 16});
  check("mxfp8", kAffine4, {QuantMode::kMxfp8, 8, 32});
}

TEST_F(Schemes, NamedModulesOverride) {
  check("affine_8_32_bf16",
        R"({"quantization": {"group_size": 64, "bits": 4, "mode": "affine",
            "layer": {"group_size": 32, "bits": 8}}})",
        {QuantMode::kAffine, 8, 32});
}

TEST(Checkpoint, DenseLayerWithBias) {
  TensorSet tensors;
  tensors.add("a.weight", DType::kF16, {3, 5});
  tensors.add("a.bias", DType::kF32, {3}, 10);
  tensors.add("norm.weight", DType::kBF16, {5}, 1);
  const auto folder = folder_of("{}", tensors);
  Checkpoint checkpoint(folder->path());
  EXPECT_TRUE(checkpoint.has("a"));
  EXPECT_FALSE(checkpoint.has("b"));
  const LinearWeights a = checkpoint.linear("a", 3, 5);
  EXPECT_EQ(a.scheme.mode, QuantMode::kNone);
  EXPECT_EQ(value_at(a.weight, 14), 14);
  EXPECT_EQ(value_at(a.bias, 2), 12);
  EXPECT_EQ(value_at(checkpoint.parameter("norm.weight", {5}), 4), 5);
  EXPECT_TRUE(checkpoint.unread().empty());
  checkpoint.release(a);
  EXPECT_EQ(value_at(a.weight, 14), 14);
}

TEST(Checkpoint, PerExpertTensorsAreStacked) {
  for (const bool quantized : {false, true}) {
    TensorSet tensors;
    for (int e = 0; e < 12; ++e) {  // 10 sorts before 2
      const std::string path = fmt::format("model.layers.0.mlp.experts.{}.up_proj", e);
      if (quantized)
        tensors.add_affine(path, 2, 64, 4, 64, static_cast<float>(16 * e));
      else
        tensors.add(path + ".weight", DType::kBF16, {2, 4}, static_cast<float>(8 * e));
    }
    const auto folder = folder_of(quantized ? kAffine4 : "{}", tensors);
    Checkpoint checkpoint(folder->path());
    EXPECT_TRUE(checkpoint.has("model.layers.0.mlp.switch_mlp.up_proj"));
    const LinearWeights stack =
        checkpoint.linear("model.layers.0.mlp.switch_mlp.up_proj", 2, quantized ? 64 : 4, 12);
    EXPECT_EQ(stack.experts, 12);
    if (quantized) {
      EXPECT_EQ(stack.weight.shape, (Shape{12, 2, 8}));
      EXPECT_EQ(stack.scales.shape, (Shape{12, 2, 1}));
      EXPECT_EQ(stack.scheme, (QuantScheme{QuantMode::kAffine, 4, 64}));
      for (uint32_t i = 0; i < 12 * 16; ++i) EXPECT_EQ(stack.weight.as<uint32_t>()[i], i);
    } else {
      for (int i = 0; i < 96; ++i) EXPECT_EQ(value_at(stack.weight, i), static_cast<float>(i));
    }
    EXPECT_TRUE(checkpoint.unread().empty());
    expect_error(error_message([&] {
                   checkpoint.linear("model.layers.0.mlp.switch_mlp.up_proj", 2, quantized ? 64 : 4,
                                     13);
                 }),
                 "experts.12.up_proj.weight': expected by config.json, found nothing");
    expect_error(error_message([&] {
                   checkpoint.linear("model.layers.0.mlp.switch_mlp.up_proj", 2, quantized ? 64 : 4,
                                     11);
                 }),
                 "config.json says 11 experts, found one more");
    checkpoint.release(stack);
  }
}

TEST(Checkpoint, PrefixesOfVisionCheckpoints) {
  for (const char* prefix : {"language_model.model.", "model.language_model.", "model."}) {
    TensorSet tensors;
    tensors.add(std::string(prefix) + "embed_tokens.weight", DType::kBF16, {4, 2});
    tensors.add("vision_tower.encoder.weight", DType::kBF16, {4, 2});
    tensors.add("model.multi_modal_projector.x.weight", DType::kBF16, {4, 2});
    tensors.add("model.layers.0.self_attn.rotary_emb.inv_freq", DType::kF32, {4});
    const auto folder = folder_of("{}", tensors);
    Checkpoint checkpoint(folder->path());
    EXPECT_TRUE(checkpoint.has("language_model.model.embed_tokens")) << prefix;
    EXPECT_TRUE(checkpoint.has("model.embed_tokens")) << prefix;
    EXPECT_EQ(checkpoint.unread(), std::vector<std::string>{"model.embed_tokens.weight"});
    checkpoint.linear("language_model.model.embed_tokens", 4, 2);
    EXPECT_TRUE(checkpoint.unread().empty());
    EXPECT_EQ(checkpoint.modules().size(), 1u);
  }
}

TEST(Checkpoint, NamesOfEncoders) {
  for (const char* prefix : {"", "bert.", "roberta.", "model."}) {
    TensorSet tensors;
    tensors.add(std::string(prefix) + "embeddings.word_embeddings.weight", DType::kF16, {4, 2});
    tensors.add(std::string(prefix) + "embeddings.LayerNorm.gamma", DType::kF32, {2}, 3);
    tensors.add(std::string(prefix) + "embeddings.LayerNorm.beta", DType::kF32, {2}, 5);
    const auto folder = folder_of("{}", tensors);
    Checkpoint checkpoint(folder->path());
    EXPECT_EQ(checkpoint.dtype(), DType::kF16);
    const std::string norm = std::string(prefix) + "embeddings.LayerNorm";
    EXPECT_EQ(checkpoint.parameter(norm + ".weight", {2}).as<float>()[0], 3);
    EXPECT_EQ(checkpoint.parameter(norm + ".bias", {2}).as<float>()[0], 5);
  }
}

TEST(Checkpoint, OverridesMayCarryThePrefix) {
  TensorSet tensors;
  tensors.add_affine("language_model.model.embed_tokens", 2, 128, 8, 32);
  const auto folder = folder_of(
      R"({"quantization": {"group_size": 64, "bits": 4,
          "language_model.model.embed_tokens": {"group_size": 32, "bits": 8}}})",
      tensors);
  Checkpoint checkpoint(folder->path());
  EXPECT_EQ(checkpoint.linear("language_model.model.embed_tokens", 2, 128).scheme,
            (QuantScheme{QuantMode::kAffine, 8, 32}));
  EXPECT_EQ(checkpoint.modules().at(0).parameters, 256);
  EXPECT_EQ(checkpoint.dtype(), DType::kBF16);
}

TEST(Checkpoint, UnalignedTensorsAreCopied) {
  const TempFolder folder;
  write_text_file(folder.path() / "config.json", "{}");
  // A header of 75 bytes puts the data at an odd place.
  std::string header = R"({"a.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}})";
  header.resize(75, ' ');
  std::ofstream out(folder.path() / "model.safetensors", std::ios::binary);
  out << static_cast<char>(75) << std::string(7, '\0') << header;
  const float values[2] = {1.25f, -3};
  out.write(reinterpret_cast<const char*>(values), sizeof values);
  out.close();
  Checkpoint checkpoint(folder.path());
  const LinearWeights a = checkpoint.linear("a", 1, 2);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a.weight.data) % 4, 0u);
  EXPECT_EQ(a.weight.as<float>()[1], -3);
  checkpoint.release(a);
}

struct Wrong {
  const char* config;
  std::function<void(TensorSet&)> fill;
  const char* message;
};

TEST(Checkpoint, WrongShapesAreNamed) {
  const char* named = R"({"quantization": {"group_size": 64, "bits": 4,
                          "a": {"group_size": 64, "bits": 4}}})";
  const Wrong cases[] = {
      {"{}",
       [](TensorSet& t) {
         t.add("a.weight", DType::kBF16, {128, 4});
       },
       "a.weight: expected f32, f16 or bf16 (4, 128), file has bf16 (128, 4); is it stored "
       "transposed?"},
      {"{}",
       [](TensorSet& t) {
         t.add("a.weight", DType::kU32, {4, 16});
       },
       "its scales are missing"},
      {"{}",
       [](TensorSet& t) {
         t.add("a.weight", DType::kU8, {4, 128});
       },
       "FP8"},
      {R"({"quantization": {"group_size": 64, "bits": 4, "model.a": false, "a": {"bits": 4}}})",
       [](TensorSet& t) { t.add_affine("a", 4, 128, 2, 64); },
       "a.weight: expected u32 (4, 16) for affine 4-bit g64 of (4, 128), file has u32 (4, 8); is "
       "this a 2-bit checkpoint?"},
      {named, [](TensorSet& t) { t.add_affine("a", 4, 128, 8, 64); },
       "is this a 8-bit checkpoint?"},
      {named, [](TensorSet& t) { t.add_affine("a", 4, 128, 4, 32); },
       "a.scales: expected f32, f16 or bf16 (4, 2)"},
      {named,
       [](TensorSet& t) {
         t.add("a.weight", DType::kU32, {4, 16});
         t.add("a.scales", DType::kU8, {4, 2});
       },
       "is this another quantization mode?"},
      {kAffine4,
       [](TensorSet& t) {
         t.add("a.weight", DType::kU32, {4, 16});
         t.add("a.scales", DType::kF16, {4, 2});
       },
       "a.biases: expected f16 (4, 2) beside the scales, found nothing"},
      {kAffine4,
       [](TensorSet& t) {
         t.add("a.weight", DType::kU32, {4, 16});
         t.add("a.scales", DType::kF16, {4, 2});
         t.add("a.biases", DType::kF32, {4, 2});
       },
       "a.biases: expected f16 (4, 2) as the scales, file has f32 (4, 2)"},
      {kAffine4, [](TensorSet& t) { t.add_affine("a", 5, 128, 4, 64); },
       "file has u32 (5, 16); does config.json belong to these weights?"},
      {kAffine4,
       [](TensorSet& t) {
         t.add_affine("a", 4, 128, 4, 64);
         t.add("a.bias", DType::kF16, {5});
       },
       "a.bias: expected f32, f16 or bf16 (4), file has f16 (5)"},
      {R"({"quantization": {"group_size": 64, "bits": 4, "layers.a": true}})",
       [](TensorSet& t) { t.add("a.other", DType::kBF16, {4}); },
       "tensor 'a.weight': expected by config.json, found nothing; beside it: a.other"},
      {"{}", [](TensorSet& t) { t.add("b", DType::kBF16, {4}); }, "found nothing like it"},
      {kAffine4,
       [](TensorSet& t) {
         t.add_affine("a", 4, 128, 4, 64);
         t.add("a.global_scale", DType::kF32, {1});
       },
       "a.global_scale"},
      {R"({"quantization": {"group_size": 64, "bits": 4, "layer.a": false}})",
       [](TensorSet& t) { t.add_affine("layer.a", 4, 128, 4, 64); }, "tensor 'a.weight'"},
  };
  for (const Wrong& wrong : cases) {
    TensorSet tensors;
    wrong.fill(tensors);
    const auto folder = folder_of(wrong.config, tensors);
    expect_error(error_message([&] { Checkpoint(folder->path()).linear("a", 4, 128); }),
                 wrong.message);
  }
}

TEST(Checkpoint, FalseMeansDense) {
  TensorSet tensors;
  tensors.add_affine("layer.a", 4, 128, 4, 64);
  tensors.add("layer.b.weight", DType::kBF16, {4, 128});
  const auto folder = folder_of(
      R"({"quantization": {"group_size": 64, "bits": 4, "layer.a": false, "layer.b": false}})",
      tensors);
  Checkpoint checkpoint(folder->path());
  EXPECT_EQ(checkpoint.linear("layer.b", 4, 128).scheme.mode, QuantMode::kNone);
  expect_error(error_message([&] { checkpoint.linear("layer.a", 4, 128); }),
               "it is quantized, but config.json says that it is not");
}

TEST(Checkpoint, WrongParameters) {
  TensorSet tensors;
  tensors.add("norm.weight", DType::kBF16, {8});
  tensors.add("ids.weight", DType::kU32, {8});
  const auto folder = folder_of("{}", tensors);
  Checkpoint checkpoint(folder->path());
  expect_error(error_message([&] { checkpoint.parameter("norm.weight", {9}); }),
               "norm.weight: expected f32, f16 or bf16 (9), file has bf16 (8); does config.json");
  expect_error(error_message([&] { checkpoint.parameter("ids.weight", {8}); }), "file has u32 (8)");
  expect_error(error_message([&] { checkpoint.parameter("no.weight", {8}); }), "'no.weight'");
}

TEST(Checkpoint, QuantizationOfOtherTools) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}})",
       "found \"awq\"; use a checkpoint made by mlx_lm.convert"},
      {R"({"quantization_config": {"quant_method": "fp8"}})", "found \"fp8\""},
      {R"({"text_config": {"quantization_config": {"quant_method": "gptq", "bits": 4}}})", "gptq"},
      {R"({"quantization": {"bits": 7, "group_size": 64}})", "key 'bits': expected 2, 3, 4"},
      {R"({"quantization": {"bits": 4, "group_size": 48}})", "key 'group_size': expected 32"},
      {R"({"quantization": {"bits": 8, "group_size": 32, "mode": "mxfp4"}})", "expected 4 (mxfp4)"},
      {R"({"quantization": {"bits": 4, "group_size": 32, "mode": "nvfp4"}})",
       "expected 16 (nvfp4)"},
      {R"({"quantization": {"bits": 4, "group_size": 64, "mode": "int4"}})", "key 'mode'"},
      {R"({"quantization": {"bits": "4", "group_size": 64}})", "key 'bits': expected an integer"},
      {R"({"quantization": {"bits": 4, "a": {"bits": -4}}})", "quantization: a: key 'bits'"},
      {R"({"quantization": [4]})", "key 'quantization': expected an object, found a list"},
      {"[]", "expected a JSON object"},
      {"{", "expected JSON"},
  };
  for (const auto& [config, message] : cases) {
    TensorSet tensors;
    tensors.add("a.weight", DType::kBF16, {1, 1});
    const auto folder = folder_of(config, tensors);
    expect_error(error_message([&] { Checkpoint checkpoint(folder->path()); }), message);
  }
}

class Shards : public testing::Test {
 protected:
  void shard(const std::string& name, const std::string& tensor) {
    TensorSet tensors;
    tensors.add(tensor, DType::kBF16, {1, 1});
    tensors.write(folder_.path() / name);
  }
  void text(const std::string& name, const std::string& content) {
    write_text_file(folder_.path() / name, content);
  }
  std::string open_error() {
    return error_message([&] { Checkpoint checkpoint(folder_.path()); });
  }
  void SetUp() override { text("config.json", "{}"); }
  const TempFolder folder_;
};

TEST_F(Shards, WithAndWithoutIndex) {
  shard("model-00001-of-00002.safetensors", "a.weight");
  expect_error(open_error(),
               "expected model-00002-of-00002.safetensors (named by "
               "model-00001-of-00002.safetensors), found 1 of 2 shards");
  shard("model-00002-of-00002.safetensors", "b.weight");
  EXPECT_EQ(open_error(), "");
  Checkpoint checkpoint(folder_.path());
  EXPECT_TRUE(checkpoint.has("a"));
  EXPECT_TRUE(checkpoint.has("b"));
  text("model.safetensors.index.json",
       R"({"weight_map": {"a.weight": "model-00001-of-00002.safetensors"}})");
  expect_error(open_error(), "");
  text("model.safetensors.index.json",
       R"({"weight_map": {"a.weight": "model-00001-of-00002.safetensors",
                          "c.weight": "model-00003-of-00002.safetensors"}})");
  expect_error(open_error(),
               "expected model-00003-of-00002.safetensors (named by model.safetensors.index.json), "
               "found 1 of 2 shards; perhaps an incomplete download");
}

TEST_F(Shards, IndexOfTheOriginalIsIgnored) {
  shard("model.safetensors", "a.weight");
  text("model.safetensors.index.json",
       R"({"weight_map": {"a.weight": "model-00001-of-00002.safetensors"}})");
  EXPECT_EQ(open_error(), "");
}

TEST_F(Shards, HostileIndex) {
  shard("model.safetensors", "a.weight");
  for (const char* file : {"../model.safetensors", "/etc/passwd", "", "..", "a\\u0000b"}) {
    text("model.safetensors.index.json",
         fmt::format(R"({{"weight_map": {{"a.weight": "{}"}}}})", file));
    expect_error(open_error(), "expected the name of a file beside the index");
  }
  text("model.safetensors.index.json", R"({"weight_map": {"a.weight": 7}})");
  expect_error(open_error(), "found 7");
  text("model.safetensors.index.json", "{}");
  expect_error(open_error(), "'weight_map'");
}

TEST_F(Shards, TheSameTensorTwice) {
  shard("model-a.safetensors", "model.a.weight");
  shard("model-b.safetensors", "model.language_model.a.weight");
  expect_error(open_error(), "found as 'model.a.weight' in model-a.safetensors too");
}

TEST_F(Shards, NoWeights) {
  expect_error(open_error(), "found none; is this a model's directory?");
  text("pytorch_model.bin", "x");
  expect_error(open_error(), "PyTorch weights");
  text("x.gguf", "x");
  expect_error(open_error(), "GGUF");
  expect_error(error_message([&] { Checkpoint checkpoint(folder_.path() / "no"); }),
               "expected a directory with a checkpoint, found nothing");
  expect_error(error_message([&] { Checkpoint checkpoint(folder_.path() / "config.json"); }),
               "expected a directory with a checkpoint");
}

TEST_F(Shards, GitLfsPointer) {
  text("model.safetensors",
       "version https://git-lfs.github.com/spec/v1\noid sha256:123\nsize 335\n");
  expect_error(open_error(),
               "model.safetensors: expected a safetensors file: it is a git-LFS "
               "pointer to a file of 335 bytes");
}

}  // namespace
}  // namespace mica

// Small models of every format, and facts of a machine with two GPUs, for the tests of this folder.
#pragma once

#include <filesystem>
#include <string>

#include "base/file.h"
#include "bench/plan/request.h"
#include "checkpoint/test_files.h"

namespace mica {

// Qwen3-0.6B's shape with fewer layers: 2 of them, 8 heads of keys and values of 128.
inline std::string config_with(const std::string& quantization) {
  return R"({"model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 2,
 "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
 "max_position_embeddings": 40960, "vocab_size": 1000)" +
         (quantization.empty() ? "" : ", " + quantization) + "}";
}

inline void write_model(const std::filesystem::path& folder, const std::string& quantization,
                        TensorSet& tensors) {
  std::filesystem::create_directories(folder);
  write_text_file(folder / "config.json", config_with(quantization));
  tensors.write(folder / "model.safetensors");
}

// 64 x 256 weights.
inline void write_mlx(const std::filesystem::path& folder) {
  TensorSet tensors;
  tensors.add_affine("model.layers.0.mlp.up_proj", 64, 256, 4, 64);
  write_model(folder, R"("quantization": {"group_size": 64, "bits": 4})", tensors);
}

inline void write_dense(const std::filesystem::path& folder) {
  TensorSet tensors;
  tensors.add("model.layers.0.mlp.up_proj.weight", DType::kBF16, {64, 256});
  write_model(folder, "", tensors);
}

inline void write_exl3(const std::filesystem::path& folder) {
  TensorSet tensors;
  tensors.add("model.layers.0.mlp.up_proj.trellis", DType::kI16, {16, 4, 64});
  tensors.add("model.layers.0.mlp.up_proj.suh", DType::kF16, {256});
  tensors.add("model.layers.0.mlp.up_proj.svh", DType::kF16, {64});
  write_model(folder, R"("quantization_config": {"quant_method": "exl3", "bits": 4.0})", tensors);
}

namespace internal {
inline void put(std::string& out, const void* data, size_t bytes) {
  out.append(static_cast<const char*>(data), bytes);
}
template <typename T>
void put_number(std::string& out, T value) {
  put(out, &value, sizeof value);
}
inline void put_text(std::string& out, const std::string& text) {
  put_number<uint64_t>(out, text.size());
  out += text;
}
inline void put_key(std::string& out, const std::string& key, uint32_t value) {
  put_text(out, key);
  put_number<uint32_t>(out, 4);  // u32
  put_number<uint32_t>(out, value);
}
}  // namespace internal

// One tensor of 64 x 256 in Q8_0; 2 layers, 8 heads of keys and values of 128.
inline void write_gguf(const std::filesystem::path& file) {
  using namespace internal;
  std::string out = "GGUF";
  put_number<uint32_t>(out, 3);
  put_number<uint64_t>(out, 1);
  put_number<uint64_t>(out, 9);
  put_text(out, "general.architecture");
  put_number<uint32_t>(out, 8);  // string
  put_text(out, "qwen3");
  put_key(out, "general.file_type", 7);
  put_key(out, "qwen3.context_length", 40960);
  put_key(out, "qwen3.block_count", 2);
  put_key(out, "qwen3.embedding_length", 1024);
  put_key(out, "qwen3.attention.head_count", 16);
  put_key(out, "qwen3.attention.head_count_kv", 8);
  put_key(out, "qwen3.attention.key_length", 128);
  put_key(out, "qwen3.attention.value_length", 128);
  put_text(out, "blk.0.ffn_up.weight");
  put_number<uint32_t>(out, 2);
  put_number<uint64_t>(out, 256);
  put_number<uint64_t>(out, 64);
  put_number<uint32_t>(out, 8);  // Q8_0: 34 bytes for 32 values
  put_number<uint64_t>(out, 0);
  out.resize((out.size() + 31) / 32 * 32);
  out.resize(out.size() + 64 * 256 / 32 * 34);
  std::filesystem::create_directories(file.parent_path());
  write_text_file(file, out);
}

// Two RTX PRO 6000: 96 GiB each, one of them in use.
inline PlanFacts two_gpus() {
  PlanFacts facts;
  for (int i = 0; i < 2; ++i)
    facts.gpus.push_back(
        {i, "NVIDIA RTX PRO 6000 Blackwell", 120, uint64_t{96} << 30, uint64_t{95} << 30});
  facts.cores = 16;
  facts.numa_nodes = 1;
  facts.user = "1000:1000";
  facts.hub_cache = "/home/u/.cache/huggingface/hub";
  facts.state = "/home/u/.local/state/mica";
  facts.environment = {{"HOME", "/home/u"}};
  return facts;
}

}  // namespace mica

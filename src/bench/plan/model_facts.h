// What a model is, from its headers alone: no weight is read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace mica {

// The keys and values that one token leaves, by kind of layer; elements of both together.
struct KvShape {
  int64_t full = 0;         // of all layers that see everything
  int64_t sliding = 0;      // of all layers with a window
  int64_t window = 0;       // tokens that those keep
  int64_t state_bytes = 0;  // of a sequence whatever its length: recurrent layers
  int64_t heads = 0;        // of keys and values, of a layer; 1 for latent attention
};

struct ModelFacts {
  std::string format;        // mlx, safetensors, gguf, exl3
  std::string architecture;  // config.json's model_type, GGUF's general.architecture
  // bf16 f16 f32 affine mxfp4 mxfp8 nvfp4 awq gptq fp8 fp8-block int8 int4 exl3 bitsandbytes, or
  // GGUF's name in lower case (q4_k_m); empty = not known.
  std::string quantization;
  std::string quantization_text;  // for people: "affine 4 bits, groups of 64"
  double bits_per_weight = 0;     // bytes on disk over parameters
  int64_t parameters = 0;         // 0 = not known
  // That each token of a prompt is multiplied with: without embeddings, output head and vision
  // tower, of experts only the chosen ones (none of them where their number is not known).
  int64_t prefill_parameters = 0;
  uint64_t weight_bytes = 0;  // of all weight files
  int files = 0;
  int64_t context = 0;                                // tokens that it was made for; 0 = not known
  int64_t layers = 0, experts = 0, experts_used = 0;  // used: by each token
  int64_t attention_heads = 0;                        // of queries, of a layer; 0 = not known
  KvShape kv;
  uint64_t expert_bytes = 0;  // of weight_bytes, of routed experts
  uint64_t projector_bytes = 0;
  bool vision = false;
  std::vector<std::string> notes;  // what could not be found out
};

// Of a folder or a file that exists: mlx, safetensors, gguf, exl3; empty when it is none.
std::string detect_format(const std::filesystem::path& path);

// `path`: a folder, or a GGUF file (its first shard). Throws Error(kCheckpoint) for files that are
// missing or malformed.
ModelFacts inspect_model(const std::filesystem::path& path,
                         const std::filesystem::path& projector = {});

// Bytes of keys and values of one sequence of `tokens`, at `bits` an element (16, 8 or 4; the
// scales of 8 and 4 bits are counted as 1/16).
uint64_t kv_bytes(const KvShape& shape, int64_t tokens, int bits);

// The parts of inspect_model.
ModelFacts inspect_safetensors(const std::filesystem::path& folder, const std::string& format);
ModelFacts inspect_gguf(const std::filesystem::path& file);
double expert_share(const ModelFacts& facts);  // that a token uses, 0 to 1; 0 = not known
// What config.json says: architecture, context, layers, keys and values, experts, quantization.
void read_model_config(const std::string& config_json, ModelFacts& facts);

}  // namespace mica

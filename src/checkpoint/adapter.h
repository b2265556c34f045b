// LoRA adapters (Hu et al., arXiv:2106.09685) as mlx-lm writes them: a folder with
// adapter_config.json and adapters.safetensors, in which a module `path` has
//   path.lora_a [in, rank] and path.lora_b [rank, out]:  y = W x + scale * ((x a) b)
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace mica {

// The low-rank part of one linear layer of [rows, columns].
struct AdapterModule {
  std::string path;  // "model.layers.3.self_attn.q_proj"
  int64_t rank = 0, rows = 0, columns = 0;
  std::vector<float> down;  // [rank, columns]: a, transposed
  std::vector<float> up;    // [rows, rank]: b, transposed and times the scale
};

struct Adapter {
  std::vector<AdapterModule> modules;  // sorted by path
  float scale = 0;
  int64_t rank() const;  // the largest
  size_t bytes() const;
};

// Throws Error(kCheckpoint): a file is missing, the fine-tuning is no LoRA (dora, full), a tensor
// has no partner or a wrong shape, an expert layer is adapted.
Adapter read_adapter(const std::filesystem::path& directory);

}  // namespace mica

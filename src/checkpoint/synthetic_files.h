// Synthetic weights as files: an MLX checkpoint that any reader loads.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "checkpoint/synthetic.h"

namespace mica {

struct SyntheticFiles {
  size_t bytes = 0;        // of all tensors
  int64_t parameters = 0;  // unpacked weights and parameters
  int shards = 0;
};

// Writes config.json (`config_json` with the scheme as "quantization"), shards of at most
// `shard_bytes` and the index into `directory`, which is made. Holds one module in memory at a
// time. `progress(done, total)` counts bytes. Throws Error(kCheckpoint).
SyntheticFiles write_synthetic_checkpoint(
    const std::filesystem::path& directory, std::string_view config_json,
    std::span<const WeightRequest> requests, SyntheticWeights& weights,
    size_t shard_bytes = size_t{5} << 30,
    const std::function<void(size_t, size_t)>& progress = nullptr);

// config.json for weights of this scheme and dtype.
std::string synthetic_config(std::string_view config_json, const SyntheticOptions& options);

}  // namespace mica

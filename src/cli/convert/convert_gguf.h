// A checkpoint as a GGUF file that llama.cpp loads: the same weights in another engine.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/convert/gguf_plan.h"

namespace mica {

struct ConvertOptions {
  std::filesystem::path directory;  // of the checkpoint
  std::filesystem::path output;     // the GGUF file
  std::string name;                 // general.name
  GgufTypeChoice types;
  std::string tokenizer_pre;  // llama.cpp's name of the split; empty = found out
};

struct ConvertReport {
  std::vector<GgufPlanItem> items;  // without their values
  size_t file_bytes = 0;
};

// Holds rows of one weight in memory at a time. `progress(done, total)` counts weights that are
// written. Throws Error(kCheckpoint).
ConvertReport convert_to_gguf(const ConvertOptions& options,
                              const std::function<void(size_t, size_t)>& progress = nullptr);

}  // namespace mica

// Sets of prompts that are part of the program (config/prompts).
#pragma once

#include <string>
#include <vector>

#include "bench/load/dataset.h"

namespace mica {

struct EmbeddedPrompts {
  const char* name;   // "text", "vision", "long-context"
  const char* lines;  // JSON lines
};
const std::vector<EmbeddedPrompts>& embedded_prompts();  // made by CMake

// A built-in set by its name, or the file of that path. `limit` as of read_dataset(). Throws
// Error(kUsage) when it is neither, with the names.
std::vector<DatasetItem> prompt_set(const std::string& name, size_t limit = 0);

// A text about a small harbour, always the same for the same key: number `index` of its sentences.
std::string harbour_sentence(uint64_t key, uint64_t index);

}  // namespace mica

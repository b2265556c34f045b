// Where a model lies: a folder or file as named, a root of storage, the hub's cache, or not here.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bench/plan/models_file.h"
#include "bench/plan/request.h"

namespace mica {

struct ModelPlace {
  std::filesystem::path folder;      // that holds it; empty = the model is not on this machine
  std::filesystem::path file;        // of GGUF: the first shard; empty for a folder
  std::filesystem::path projector;   // of GGUF: for images; empty = none
  std::filesystem::path repository;  // of a snapshot: the cache's folder models--org--name
  std::string repo_id, revision;
  std::string format;  // mlx, safetensors, gguf, exl3; empty = not known
  Origin origin;

  bool is_here() const { return !folder.empty(); }
  const std::filesystem::path& path() const { return file.empty() ? folder : file; }
};

// What the command line's model may be: a path that exists, or a repository with a revision. A
// path below a root of storage or in the hub's cache knows its repository.
ModelWanted read_wanted(const std::string& text, const ModelsFile& file, const PlanFacts& facts);

// Finds it. `entry` may be nullptr. Throws Error: kUsage for what names nothing and for a choice
// between files, kCheckpoint for a file that is not whole.
ModelPlace locate_model(const ModelWanted& wanted, const ModelEntry* entry, const ModelsFile& file,
                        const PlanRequest& request, const PlanFacts& facts);

// The GGUF file of a folder that is meant: the one that `wanted` (a name, a part of it) or else
// `include` (globs) picks, and of what is left one first shard, or one file, or one file that is no
// shard. Projectors are never meant. Throws kUsage with what to type, kCheckpoint when a shard is
// missing.
std::filesystem::path choose_gguf(const std::filesystem::path& folder, const std::string& wanted,
                                  const std::vector<std::string>& include);

// Throws kCheckpoint when a part of a split file ("x-00001-of-00003.gguf") is missing.
void check_gguf_parts(const std::filesystem::path& file);

// mmproj-*.gguf beside the model and in the folders above it up to `root`, f16 before others; empty
// when there is none.
std::filesystem::path find_projector(const std::filesystem::path& model,
                                     const std::filesystem::path& root);

}  // namespace mica

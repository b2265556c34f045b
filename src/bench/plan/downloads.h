// What the models file says to download, for `mica fetch` and `mica pull NAME`.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/expand.h"
#include "bench/plan/models_file.h"

namespace mica {

// One revision of one entry. Empty `include`: what a model needs.
struct Download {
  std::string repo_id, revision;  // "main" where the entry names none
  std::vector<std::string> include, exclude;
  // local_dir, else <root>/<org>/<name>[/<revision>] of the storage root; empty = the hub's cache.
  // Where locate_model() looks.
  std::filesystem::path folder;
};

// Every revision of an entry. Throws Error(kUsage) with the entry's line for what can't be
// downloaded: a repo_type other than model, GGUF without a choice of files, one local_dir for
// several revisions. `lookup` expands variables in paths.
std::vector<Download> downloads_of(const ModelEntry& entry, const ModelsFile& file,
                                   const VariableLookup& lookup);

// The entries that a name stands for: the one of this short name, else all of this repository id.
// Throws Error(kUsage) when there is none.
std::vector<const ModelEntry*> entries_named(const ModelsFile& file, const std::string& name);

}  // namespace mica

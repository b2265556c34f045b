// The models file (config/models.yaml): which models there are, where they lie, how each backend
// starts them. docs/plans.md has every key.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/plan/descriptor.h"
#include "bench/plan/layers.h"

namespace mica {

// Applied to models whose repository id one of the globs fits.
struct ModelPattern {
  std::string backend;
  std::vector<std::string> globs;
  Layer layer;
};

struct ModelProfile {
  std::string name, place;
  std::optional<Sourced> backend;  // absent: for whichever is asked for
  Layer layer;
};

struct ModelEntry {
  std::string repo_id;             // "org/name"
  std::string name;                // a short one for the command line, or empty
  std::vector<std::string> match;  // globs of further repositories that it stands for
  std::vector<std::string> include, exclude, files;  // of the download; include chooses a file too
  std::vector<std::string> revisions;                // the first one is taken; empty = main
  std::string local_dir, repo_type, format;
  std::optional<Sourced> backend;         // that is taken where none is asked for
  std::map<std::string, Layer> backends;  // by descriptor
  std::vector<ModelProfile> profiles;
  std::string place;  // "config/models.yaml:12"
};

struct Sidecar {
  bool enabled = false;
  std::string image, version;
  int port = 0;
  std::string alias;  // the model's name behind LiteLLM
};

struct ModelsFile {
  std::string path;
  std::optional<Sourced> primary, gguf;   // roots of storage; "~" and $NAME are expanded
  std::map<std::string, Layer> defaults;  // by descriptor
  std::vector<ModelPattern> patterns;
  std::vector<ModelEntry> models;
  std::map<std::string, Sidecar> sidecars;  // "open_webui", "litellm"

  // The layers below the command line for one model, lowest first. `profile` may be nullptr.
  std::vector<Layer> layers(const std::string& backend, const std::string& repo_id,
                            const ModelEntry* entry, const ModelProfile* profile) const;
};

// Strict: an unknown key, a second entry for the same name, a wrong value is an Error(kUsage) with
// the line. Names of settings are checked against the backends of the table.
ModelsFile parse_models_file(std::string_view yaml, const std::string& place,
                             const BackendTable& table);

// What the command line names.
struct ModelWanted {
  std::string text;      // as it was typed
  std::string repo_id;   // "org/name", or empty for a path that is not known as one
  std::string revision;  // behind '@', or of the path; or empty
  std::string path;      // of a folder or file that exists; or empty
};

// The entry for a model: its short name, or the exact repository id, or else the globs. Several
// with one repository id differ by revision and by `include` (against `file`, a file's name or a
// word in it). nullptr = none. Throws Error(kUsage) that names the candidates if several are left.
const ModelEntry* match_model(const ModelsFile& file, const ModelWanted& wanted,
                              const std::string& gguf);

// The profile of an entry for a backend (empty: not chosen yet). `wanted` is a name, "none" or
// empty: then "default", else the only one that is for the backend, else none if there is none.
// Throws Error(kUsage): unknown, for another backend, or several to choose from.
const ModelProfile* choose_profile(const ModelEntry& entry, const std::string& wanted,
                                   const std::string& backend);

}  // namespace mica

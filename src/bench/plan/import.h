// The models file of the Python scripts that the workbench follows, as a models file of Mica.
//
// Both of its states are read: typed `args` and `version`, image overrides, PR builds (2026-01-02);
// raw `extra_args`, `backend_version`, `env_vars`, profiles (2026-01-11); and server.yaml with its
// sidecars.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bench/plan/descriptor.h"

namespace mica {

struct ImportedModels {
  std::string yaml;  // the new file; it parses
  // One line for each key that is called otherwise, means something else or went:
  //   "models.yaml:12: backend_version is version now"
  std::vector<std::string> report;
};

struct ImportSource {
  std::string_view yaml;
  std::string place;
};

// Several files become one: models.yaml and server.yaml. Comments are lost. Throws Error(kUsage)
// for what is no YAML of this kind.
ImportedModels import_models(const std::vector<ImportSource>& sources, const BackendTable& table);

}  // namespace mica

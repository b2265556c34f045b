#include "cli/one_adapter.h"

#include <CLI/CLI.hpp>

#include "base/log.h"
#include "checkpoint/adapter.h"

namespace mica {

void add_adapter_flag(CLI::App& command, std::string& path) {
  command.add_option("--adapter-path", path, "Folder of a LoRA adapter as mlx-lm trains them");
}

OneAdapter load_adapter(const std::string& path, const LoadedModel& loaded) {
  if (path.empty()) return {};
  Adapter adapter = read_adapter(path);
  const int64_t rank = adapter.rank();
  const size_t modules = adapter.modules.size();
  OneAdapter one;
  one.set = std::make_unique<AdapterSet>(*loaded.backend, *loaded.model, rank);
  one.id = one.set->add(std::move(adapter));
  log_info("adapter {}: rank {}, {} layers, {:.4g} MB", path, rank, modules,
           static_cast<double>(one.set->bytes()) / 1e6);
  return one;
}

}  // namespace mica

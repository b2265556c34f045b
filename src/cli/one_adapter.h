// --adapter-path of the commands that answer at the terminal.
#pragma once

#include <memory>
#include <string>

#include "cli/load.h"
#include "model/adapters.h"

namespace mica {

struct OneAdapter {
  std::unique_ptr<AdapterSet> set;  // null: none was asked for
  AdapterId id = 0;                 // Request::adapter
};

void add_adapter_flag(CLI::App& command, std::string& path);
// Before the engine is made; it gets `set` and is gone before it. "" = none.
OneAdapter load_adapter(const std::string& path, const LoadedModel& loaded);

}  // namespace mica

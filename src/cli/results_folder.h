// The flag --results, which commands share.
#pragma once

#include <string>

#include "bench/results/store.h"

namespace CLI {
class App;
}

namespace mica {

void add_results_flag(CLI::App& command, std::string& folder);
// Opens the folder of the flag, else the default one.
ResultStore open_results(const std::string& folder);

}  // namespace mica

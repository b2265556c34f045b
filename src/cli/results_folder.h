// The flags that choose kept runs, which commands share.
#pragma once

#include <string>
#include <vector>

#include "bench/results/store.h"

namespace CLI {
class App;
}

namespace mica {

void add_results_flag(CLI::App& command, std::string& folder);
// Opens the folder of the flag, else the default one.
ResultStore open_results(const std::string& folder);

void add_runs_flag(CLI::App& command, std::vector<std::string>& runs);
// --model, --backend, --group, --since and --limit.
void add_filter_flags(CLI::App& command, RunFilter& filter);
// Those of these names; without names, those that the filter lets through. Throws Error(kUsage)
// when there is none.
std::vector<RunRecord> chosen_runs(ResultStore& store, const std::vector<std::string>& names,
                                   const RunFilter& filter);

}  // namespace mica

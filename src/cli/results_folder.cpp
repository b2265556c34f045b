#include "cli/results_folder.h"

#include <CLI/CLI.hpp>

#include "base/error.h"

namespace mica {

void add_results_flag(CLI::App& command, std::string& folder) {
  command.add_option("--results", folder,
                     "Folder of results (default: $MICA_RESULTS, or ~/.local/share/mica/results)");
}

ResultStore open_results(const std::string& folder) {
  return ResultStore(folder.empty() ? default_results_folder() : std::filesystem::path(folder));
}

void add_runs_flag(CLI::App& command, std::vector<std::string>& runs) {
  command.add_option("runs", runs,
                     "Ids, beginnings of them, 'last', or files (default: all that are kept)");
}

void add_filter_flags(CLI::App& command, RunFilter& filter) {
  command.add_option("--model", filter.model, "Only of models with this in their name");
  command.add_option("--backend", filter.backend, "Only of this backend");
  command.add_option("--group", filter.group, "Only of this matrix or sweep");
  command.add_option("--since", filter.since, "Only from this UTC time on: 2026-01-31");
  command.add_option("-n,--limit", filter.limit, "Only the newest so many")
      ->check(CLI::NonNegativeNumber);
}

std::vector<RunRecord> chosen_runs(ResultStore& store, const std::vector<std::string>& names,
                                   const RunFilter& filter) {
  std::vector<RunRecord> runs;
  for (const std::string& name : names) runs.push_back(store.load(name));
  if (names.empty())
    for (const RunEntry& entry : store.list(filter)) runs.push_back(store.load(entry.id));
  if (runs.empty())
    throw Error(ErrorKind::kUsage,
                "[results] no run in {} is as asked; `mica results list` shows what is there",
                store.folder().string());
  return runs;
}

}  // namespace mica

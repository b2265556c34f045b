// The index of a results folder, results.db: what can be asked of all runs at once, also with
// SQLite's own program. The result files are the truth; the index is made anew from them.
//
//   runs      one row a run
//   figures   run, metric, statistic, value: ("…", "ttft", "median", 0.042), ("…",
//   "output_throughput",
//             "rate", 812.0)
//   requests  one row a request with its figures, NULL where it has none
//   marks     run, severity, code, text
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bench/results/run_record.h"
#include "bench/results/sqlite.h"

namespace mica {

// A row of `runs`.
struct RunEntry {
  std::string id, started, state, group, backend, engine_version, model, revision, gpu, workload,
      arrivals, cache, imported;  // imported: the program's name, or empty
  int64_t requests = 0, finished = 0;
  bool invalid = false;
  std::optional<double> ttft_median, tpot_median, e2e_median, output_throughput;
};

// Empty members let all through.
struct RunFilter {
  std::string backend, model, group, since;  // model: exactly or a part; since: UTC, "2026-01-31"
  int64_t limit = 0;                         // the newest so many; 0 = all
};

class ResultIndex {
 public:
  // Throws Error(kUsage): no database, or of a newer Mica.
  explicit ResultIndex(const std::filesystem::path& path);

  void put(const RunRecord& run);  // replaces a row of the same id
  void remove(const std::string& id);
  void clear();
  std::vector<RunEntry> list(const RunFilter& filter = {});  // oldest first
  std::vector<std::string> ids_with_prefix(const std::string& prefix);

 private:
  void put_figures(const RunRecord& run);
  void put_requests(const RunRecord& run);
  Database database_;
};

}  // namespace mica

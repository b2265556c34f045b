// A folder of results:
//
//   results.db        index of all runs (index.h)
//   runs/ID.json      one finished run; written once, never changed
//   runs/ID.journal   a run that goes on, or that its process left behind (journal.h)
//
// Several processes may use it at once.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bench/results/index.h"
#include "bench/results/journal.h"
#include "bench/results/run_record.h"

namespace mica {

class ResultStore;

// A run that is being measured. Thread-safe. Destruction without finish() leaves the journal, from
// which recover() makes an interrupted run.
class RunWriter {
 public:
  RunWriter(RunWriter&&) = default;

  const std::string& id() const { return run_.id; }
  const RunRecord& run() const { return run_; }  // as far as it is known; while nobody adds
  void add(const RequestSample& record);  // durable against this process's death when it returns
  // What is found of requests only after the load; the journal does not have it.
  void change(const std::function<void(RequestSample&)>& change);
  void add(const PhaseRecord& phase);
  void add(const Mark& mark);
  void add(const GpuUseRecord& use);
  void add_telemetry(const SeriesRecord& series);
  void add_server(const SeriesRecord& series);
  void set(const Provenance& provenance);  // once the engine said what it is

  // Summary, checks and the result file; the journal goes away. Once.
  RunRecord finish(RunState state = RunState::kFinished, const std::string& error = "");

 private:
  friend class ResultStore;
  RunWriter(ResultStore& store, RunRecord run, Journal journal);

  ResultStore* store_;
  RunRecord run_;
  Journal journal_;
  std::unique_ptr<std::mutex> mutex_;
};

struct RecoveredRun {
  std::string id;  // empty where the journal's first line can't be read
  std::filesystem::path journal;
  int64_t requests = 0;  // that were kept
  uint64_t lost = 0;     // bytes of an unfinished line
  std::string problem;   // why it could not be recovered; the journal is kept as *.broken
};

// A result file, of Mica or of the old scripts. Throws Error.
RunRecord load_file(const std::filesystem::path& path);

// $MICA_RESULTS, else $XDG_DATA_HOME/mica/results, else ~/.local/share/mica/results.
std::filesystem::path default_results_folder();

class ResultStore {
 public:
  // Makes the folder. Throws Error(kUsage) when it can't be used.
  explicit ResultStore(std::filesystem::path folder);
  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path file_of(const std::string& id) const;

  // Begins a run with what is known of it; id and started are set here.
  RunWriter begin(RunRecord head, JournalSync sync = JournalSync::kEachSecond);
  // Keeps a run that was measured elsewhere. An empty id is set. Throws Error(kUsage) when there is
  // one of that id.
  std::string add(RunRecord run);
  // Runs that their processes left: those of living processes are not touched.
  std::vector<RecoveredRun> recover();

  // By id, the beginning of one, "last", or the path of a file (load_file()). Throws Error(kUsage):
  // there is none, or several begin so.
  RunRecord load(const std::string& name);
  std::vector<RunEntry> list(const RunFilter& filter = {});
  // Makes the index anew from the files; returns their number. Unreadable ones are logged.
  int64_t rebuild();

 private:
  friend class RunWriter;
  void keep(const RunRecord& run);  // file and index
  RecoveredRun recover(const std::filesystem::path& journal);

  std::filesystem::path folder_, runs_;
  std::unique_ptr<ResultIndex> index_;
  std::unique_ptr<std::mutex> mutex_;  // of the index
};

}  // namespace mica

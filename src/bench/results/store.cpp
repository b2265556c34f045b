#include "bench/results/store.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "bench/results/import_old.h"
#include "bench/results/new_file.h"
#include "bench/results/run_json.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFile = size_t{1} << 30;  // bytes

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::vector<fs::path> files_ending(const fs::path& folder, std::string_view end) {
  std::vector<fs::path> out;
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, failed))
    if (entry.path().filename().string().ends_with(end)) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

// Files that never got their names, an hour after their writers would have been done.
void remove_unnamed(const fs::path& folder) {
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(1);
  for (const char* end : {".new", ".tmp"}) {
    for (const fs::path& path : files_ending(folder, end)) {
      std::error_code failed;
      const auto written = fs::last_write_time(path, failed);
      if (!failed && written < old) fs::remove(path, failed);
    }
  }
}

}  // namespace

RunRecord load_file(const fs::path& path) {
  const std::string text = read_text_file(path, kMaxFile), source = path.string();
  return is_old_result(text) ? import_old_result(text, source) : run_from_json(text, source);
}

fs::path default_results_folder() {
  if (const std::string set = variable("MICA_RESULTS"); !set.empty()) return set;
  const std::string data = variable("XDG_DATA_HOME");
  const fs::path base = data.empty() ? fs::path(variable("HOME")) / ".local/share" : fs::path(data);
  return base / "mica/results";
}

RunWriter::RunWriter(ResultStore& store, RunRecord run, Journal journal)
    : store_(&store),
      run_(std::move(run)),
      journal_(std::move(journal)),
      mutex_(std::make_unique<std::mutex>()) {}

void RunWriter::add(const RequestSample& record) {
  journal_.append(record);
  const std::lock_guard lock(*mutex_);
  run_.requests.push_back(record);
}

void RunWriter::change(const std::function<void(RequestSample&)>& change) {
  const std::lock_guard lock(*mutex_);
  for (RequestSample& record : run_.requests) change(record);
}

void RunWriter::add(const PhaseRecord& phase) {
  journal_.append(phase);
  const std::lock_guard lock(*mutex_);
  run_.phases.push_back(phase);
}

void RunWriter::add(const Mark& mark) {
  journal_.append(mark);
  const std::lock_guard lock(*mutex_);
  run_.marks.push_back(mark);
}

void RunWriter::add(const GpuUseRecord& use) {
  journal_.append(use);
  const std::lock_guard lock(*mutex_);
  run_.gpu_use.push_back(use);
}

void RunWriter::add_telemetry(const SeriesRecord& series) {
  journal_.append_series(series, false);
  const std::lock_guard lock(*mutex_);
  run_.telemetry.push_back(series);
}

void RunWriter::add_server(const SeriesRecord& series) {
  journal_.append_series(series, true);
  const std::lock_guard lock(*mutex_);
  run_.server.push_back(series);
}

void RunWriter::set(const Provenance& provenance) {
  journal_.append(provenance);
  const std::lock_guard lock(*mutex_);
  run_.provenance = provenance;
}

RunRecord RunWriter::finish(RunState state, const std::string& error) {
  journal_.append_end(state, error);
  const std::lock_guard lock(*mutex_);
  run_.state = state;
  run_.error = error;
  conclude(run_);
  store_->keep(run_);
  journal_.remove();
  return run_;
}

ResultStore::ResultStore(fs::path folder)
    : folder_(std::move(folder)), runs_(folder_ / "runs"), mutex_(std::make_unique<std::mutex>()) {
  std::error_code failed;
  fs::create_directories(runs_, failed);
  if (failed)
    throw Error(ErrorKind::kUsage, "[results] {}: can't be made: {}", runs_.string(),
                failed.message());
  index_ = std::make_unique<ResultIndex>(folder_ / "results.db");
}

fs::path ResultStore::file_of(const std::string& id) const {
  return runs_ / (id + ".json");
}

RunWriter ResultStore::begin(RunRecord head, JournalSync sync) {
  head.started = utc_now();
  head.state = RunState::kRunning;
  const std::string name = new_run_name(head.plan, head.workload);
  head.id = name;
  for (int attempt = 2;; ++attempt) {
    if (auto journal = Journal::create(runs_, head, sync))
      return RunWriter(*this, std::move(head), std::move(*journal));
    head.id = fmt::format("{}-{}", name, attempt);  // another run of the same millisecond
  }
}

std::string ResultStore::add(RunRecord run) {
  const bool named = !run.id.empty();
  const std::string name = named ? run.id : new_run_name(run.plan, run.workload);
  run.id = name;
  for (int attempt = 2; !write_new_file(file_of(run.id), to_json(run)); ++attempt) {
    if (named) throw Error(ErrorKind::kUsage, "[results] {}: there is a run of that id", run.id);
    run.id = fmt::format("{}-{}", name, attempt);  // another of the same millisecond
  }
  const std::lock_guard lock(*mutex_);
  index_->put(run);
  return run.id;
}

void ResultStore::keep(const RunRecord& run) {
  if (!write_new_file(file_of(run.id), to_json(run)))
    log_warning("[results] {}: was there already and is left as it is", file_of(run.id).string());
  try {
    const std::lock_guard lock(*mutex_);
    index_->put(run);
  } catch (const Error& error) {
    log_warning("{}; the run is kept, `mica results rebuild` lists it", error.what());
  }
}

RecoveredRun ResultStore::recover(const fs::path& journal) {
  RecoveredRun out;
  out.journal = journal;
  try {
    JournalContent content = read_journal(read_text_file(journal, kMaxFile), journal.string());
    out.id = content.run.id;
    out.lost = content.lost;
    out.requests = static_cast<int64_t>(content.run.requests.size());
    std::error_code ignored;
    if (!fs::exists(file_of(out.id), ignored)) {
      if (!content.ended) {
        content.run.state = RunState::kInterrupted;
        content.run.error = "the process that measured it ended without finishing it";
      }
      conclude(content.run);
      keep(content.run);
    } else {  // it died between the file and the journal's end
      const std::lock_guard lock(*mutex_);
      index_->put(run_from_json(read_text_file(file_of(out.id), kMaxFile), out.id));
    }
    fs::remove(journal);
  } catch (const Error& error) {
    out.problem = error.what();
    std::error_code ignored;
    fs::rename(journal, journal.string() + ".broken", ignored);
  }
  return out;
}

std::vector<RecoveredRun> ResultStore::recover() {
  std::vector<RecoveredRun> out;
  for (const fs::path& journal : files_ending(runs_, ".journal"))
    if (const auto lock = FileLock::try_lock(journal)) out.push_back(recover(journal));
  remove_unnamed(runs_);
  return out;
}

RunRecord ResultStore::load(const std::string& name) {
  std::error_code ignored;
  if (fs::is_regular_file(name, ignored)) return load_file(name);
  std::vector<std::string> ids;
  {
    const std::lock_guard lock(*mutex_);
    if (name == "last") {
      for (const RunEntry& entry : index_->list({.limit = 1})) ids.push_back(entry.id);
    } else {
      ids = index_->ids_with_prefix(name);
    }
  }
  // An id may be the beginning of another: "…-1a2b3c4d" and "…-1a2b3c4d-2".
  if (std::find(ids.begin(), ids.end(), name) != ids.end()) ids = {name};
  if (ids.empty())
    throw Error(
        ErrorKind::kUsage,
        "[results] '{}': expected a run's id, the beginning of one, 'last' or a result file; "
        "{} has no such run (`mica results list` shows them)",
        name, folder_.string());
  if (ids.size() > 1)
    throw Error(ErrorKind::kUsage, "[results] '{}': {} runs begin so: {}, {}{}", name, ids.size(),
                ids[0], ids[1], ids.size() > 2 ? ", …" : "");
  const fs::path file = file_of(ids[0]);
  return run_from_json(read_text_file(file, kMaxFile), file.string());
}

std::vector<RunEntry> ResultStore::list(const RunFilter& filter) {
  const std::lock_guard lock(*mutex_);
  return index_->list(filter);
}

int64_t ResultStore::rebuild() {
  const std::lock_guard lock(*mutex_);
  index_->clear();
  int64_t count = 0;
  for (const fs::path& file : files_ending(runs_, ".json")) {
    try {
      index_->put(run_from_json(read_text_file(file, kMaxFile), file.string()));
      ++count;
    } catch (const Error& error) {
      log_warning("{}", error.what());
    }
  }
  return count;
}

}  // namespace mica

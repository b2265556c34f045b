// mica fetch: what the models file names, downloaded one after the other.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "bench/plan/downloads.h"
#include "bench/report/table.h"
#include "checkpoint/hub/hub.h"
#include "cli/commands.h"
#include "cli/plan_inputs.h"
#include "cli/pull_progress.h"

namespace mica {
namespace {

struct FetchFlags {
  PlanInputs inputs;
  std::vector<std::string> names;
  int parallel = 4;
  bool all = false, dry_run = false, quiet = false;
};

std::vector<const ModelEntry*> wanted_entries(const FetchFlags& flags, const ModelsFile& models) {
  std::vector<const ModelEntry*> wanted;
  if (flags.all)
    for (const ModelEntry& entry : models.models) wanted.push_back(&entry);
  for (const std::string& name : flags.names)
    for (const ModelEntry* entry : entries_named(models, name))
      if (std::find(wanted.begin(), wanted.end(), entry) == wanted.end()) wanted.push_back(entry);
  if (!wanted.empty()) return wanted;
  throw Error(ErrorKind::kUsage, "[fetch] {}",
              models.models.empty() ? (models.path.empty() ? "there is no models file: write "
                                                             "config/models.yaml, or name one by "
                                                             "--models-file"
                                                           : models.path + " has no models")
                                    : fmt::format("name models of {}, or take all {} by --all",
                                                  models.path, models.models.size()));
}

class Fetch {
 public:
  Fetch(const FetchFlags& flags, const ModelsFile& models) : flags_(flags), models_(models) {
    table_.columns = {{"model", false}, {"revision", false}, {"files", true}, {"size", true}};
    if (flags.dry_run)
      table_.columns.insert(table_.columns.end(), {{"here", true}, {"left", true}});
    table_.columns.push_back({flags.dry_run ? "into" : "folder", false});
  }
  // Each revision of the entry; what fails is told and counted.
  void add(const ModelEntry& entry);
  int failed() const { return failed_; }
  void print_summary();

 private:
  void plan(const Download& download, const HubOptions& options);
  void pull(const Download& download, HubOptions options);
  void add_row(const Download& download, const std::vector<std::string>& cells,
               const std::string& folder);
  void fail(const ModelEntry& entry, const std::string& revision, const std::string& why);

  const FetchFlags& flags_;
  const ModelsFile& models_;
  Table table_;
  int done_ = 0, failed_ = 0;
  uint64_t total_ = 0, left_ = 0;  // bytes
};

void Fetch::add_row(const Download& download, const std::vector<std::string>& cells,
                    const std::string& folder) {
  std::vector<std::string> row = {download.repo_id, download.revision};
  row.insert(row.end(), cells.begin(), cells.end());
  row.push_back(folder);
  table_.rows.push_back(std::move(row));
  ++done_;
}

void Fetch::plan(const Download& download, const HubOptions& options) {
  const PullPlan plan = plan_pull(download.repo_id, download.revision, options);
  uint64_t size = 0, here = 0;
  for (const PullPlan::File& file : plan.files) {
    size += file.size;
    here += file.here;
  }
  total_ += size;
  left_ += size - here;
  add_row(download,
          {std::to_string(plan.files.size()), format_bytes(size), format_bytes(here),
           format_bytes(size - here)},
          plan.folder.string());
}

void Fetch::pull(const Download& download, HubOptions options) {
  uint64_t size = 0;
  int files = 0;
  std::string folder;
  {
    ProgressBar bar;
    options.progress = [&](const PullProgress& p) {
      size = p.total_bytes;
      files = p.files_total;
      if (!flags_.quiet) bar(p);
    };
    folder = pull_model(download.repo_id, download.revision, options).string();
  }
  total_ += size;
  add_row(download, {std::to_string(files), format_bytes(size)}, folder);
}

void Fetch::fail(const ModelEntry& entry, const std::string& revision, const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::vector<std::string> row(table_.columns.size());
  row[0] = entry.repo_id;
  row[1] = revision;
  row.back() = "failed: " + entry.place;
  table_.rows.push_back(std::move(row));
  ++failed_;
}

void Fetch::add(const ModelEntry& entry) {
  std::vector<Download> downloads;
  try {
    downloads = downloads_of(entry, models_, environment_variable);
  } catch (const Error& e) {
    return fail(entry, "", e.what());
  }
  for (const Download& download : downloads) {
    if (!flags_.quiet && !flags_.dry_run)
      std::fprintf(stderr, "%s@%s\n", download.repo_id.c_str(), download.revision.c_str());
    try {
      HubOptions options = hub_options_from_environment();
      options.include = download.include;
      options.exclude = download.exclude;
      options.folder = download.folder;
      options.parallel = flags_.parallel;
      flags_.dry_run ? plan(download, options) : pull(download, std::move(options));
    } catch (const Error& e) {
      fail(entry, download.revision, entry.place + ": " + e.what());
    }
  }
}

void Fetch::print_summary() {
  std::fputs(to_text(table_).c_str(), stdout);
  std::string text =
      flags_.dry_run ? fmt::format("{} to fetch of {}", format_bytes(left_), format_bytes(total_))
                     : fmt::format("{} fetched, {}", done_, format_bytes(total_));
  if (failed_ > 0) text += fmt::format("; {} failed", failed_);
  std::printf("%s\n", text.c_str());
}

void run_fetch(const FetchFlags& flags) {
  const ModelsFile models = models_file(flags.inputs, backend_table(flags.inputs));
  const std::vector<const ModelEntry*> entries = wanted_entries(flags, models);
  Fetch fetch(flags, models);
  for (const ModelEntry* entry : entries) fetch.add(*entry);
  fetch.print_summary();
  if (fetch.failed() > 0) throw Ending{exit_status(ErrorKind::kNetwork)};  // as of one that failed
}

}  // namespace

void add_fetch_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("fetch", "Download the models that the models file names");
  auto flags = std::make_shared<FetchFlags>();  // lives as long as the callback
  auto* names = command->add_option("models", flags->names,
                                    "Names or repositories (org/name) of the models file");
  command->add_flag("--all", flags->all, "Every model of the file")->excludes(names);
  command->add_flag("-n,--dry-run", flags->dry_run, "Only a table of sizes; writes nothing");
  command->add_option("-j,--parallel", flags->parallel, "Files downloaded at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  command->add_flag("-q,--quiet", flags->quiet, "No progress on standard error");
  add_config_flags(*command, flags->inputs);
  command->footer(
      "Each entry's revisions, by its include, exclude and files, into its local_dir, else the\n"
      "storage root as <root>/<org>/<name>[/<revision>], else the hub's cache. An interrupted\n"
      "download continues, every file's hash is checked. What fails does not stop the others; the\n"
      "exit status is then 4. Environment: as of `mica pull`.\n"
      "Example: mica fetch --all --dry-run");
  command->callback([flags] { run_fetch(*flags); });
}

}  // namespace mica

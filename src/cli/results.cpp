// mica results: what lies in the folder of results.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/file.h"
#include "base/log.h"
#include "bench/report/table.h"
#include "bench/results/run_json.h"
#include "cli/commands.h"
#include "cli/results_folder.h"

namespace mica {
namespace {

struct ResultsFlags {
  std::string folder, run;
  RunFilter filter;
  std::vector<std::string> files;
};

std::string milliseconds(const std::optional<double>& seconds) {
  return seconds ? milliseconds_text(*seconds) : "";
}

void list(const ResultsFlags& flags) {
  Table table;
  table.columns = {{"id", false},     {"backend", false},  {"model", false},
                   {"load", false},   {"ok", true},        {"TTFT ms", true},
                   {"TPOT ms", true}, {"out tok/s", true}, {"", false}};
  for (const RunEntry& run : open_results(flags.folder).list(flags.filter)) {
    std::string note = run.invalid ? "INVALID" : run.state == "finished" ? "" : run.state;
    if (!run.imported.empty()) note += (note.empty() ? "" : ", ") + std::string("imported");
    table.rows.push_back(
        {run.id, run.backend + (run.engine_version.empty() ? "" : " " + run.engine_version),
         run.model, run.arrivals, fmt::format("{}/{}", run.finished, run.requests),
         milliseconds(run.ttft_median), milliseconds(run.tpot_median),
         run.output_throughput ? number_text(*run.output_throughput) : "", note});
  }
  std::fputs(to_text(table).c_str(), stdout);
}

void show(const ResultsFlags& flags) {
  std::fputs(to_json(open_results(flags.folder).load(flags.run)).c_str(), stdout);
}

void import(const ResultsFlags& flags) {
  ResultStore store = open_results(flags.folder);
  for (const std::string& file : flags.files) {
    RunRecord run = load_file(file);
    std::printf("%s  %s\n", store.add(std::move(run)).c_str(), file.c_str());
  }
}

void recover(const ResultsFlags& flags) {
  for (const RecoveredRun& run : open_results(flags.folder).recover()) {
    if (run.problem.empty())
      std::printf("%s: %lld requests kept\n", run.id.c_str(), static_cast<long long>(run.requests));
    else
      log_warning("{}: {}", run.journal.string(), run.problem);
  }
}

void rebuild(const ResultsFlags& flags) {
  const int64_t count = open_results(flags.folder).rebuild();
  std::printf("%lld runs\n", static_cast<long long>(count));
}

}  // namespace

void add_results_command(CLI::App& app) {
  auto flags = std::make_shared<ResultsFlags>();
  CLI::App* command =
      app.add_subcommand("results", "List, show, import, repair and push kept runs");
  command->require_subcommand(1);
  const auto add = [&](const char* name, const char* about, void (*run)(const ResultsFlags&)) {
    CLI::App* sub = command->add_subcommand(name, about);
    add_results_flag(*sub, flags->folder);
    sub->callback([flags, run] { run(*flags); });
    return sub;
  };
  add_filter_flags(*add("list", "One line a run, the newest last", list), flags->filter);
  add("show", "One run as JSON", show)
      ->add_option("run", flags->run, "Id, the beginning of one, 'last', or a file")
      ->required();
  add("import", "Keep runs of files: of another folder, or of the old scripts", import)
      ->add_option("files", flags->files, "Result files")
      ->required();
  add("recover", "Finish runs whose process was killed", recover);
  add("rebuild", "Make the index anew from the result files", rebuild);
  add_results_push_command(*command);
}

}  // namespace mica

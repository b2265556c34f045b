// mica report: tables and a page of charts from kept runs.
#include "bench/report/report.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/results_folder.h"

namespace mica {
namespace {

struct ReportFlags {
  std::string folder, format, output;
  std::vector<std::string> runs;
  RunFilter filter;
};

// "--output report.html" says the format.
std::string format_of(const ReportFlags& flags) {
  if (!flags.format.empty()) return flags.format;
  for (const char* format : {"html", "md", "csv", "json"})
    if (flags.output.ends_with(std::string(".") + format)) return format;
  return "table";
}

void run(const ReportFlags& flags) {
  ResultStore store = open_results(flags.folder);
  const std::vector<RunRecord> runs = chosen_runs(store, flags.runs, flags.filter);
  const std::string text = make_report(runs, {.format = parse_report_format(format_of(flags)),
                                              .mica_version = MICA_VERSION,
                                              .made = utc_now()});
  if (flags.output.empty())
    std::fputs(text.c_str(), stdout);
  else
    write_text_file(flags.output, text);
}

}  // namespace

void add_report_command(CLI::App& app) {
  auto flags = std::make_shared<ReportFlags>();
  CLI::App* command = app.add_subcommand("report", "Tables or a page of charts from kept runs");
  add_runs_flag(*command, flags->runs);
  add_results_flag(*command, flags->folder);
  command
      ->add_option("--format", flags->format,
                   "table, md, csv, html or json (default: as --output ends, or table)")
      ->check(CLI::IsMember({"table", "md", "csv", "html", "json"}));
  command->add_option("-o,--output", flags->output, "File to write (default: standard output)");
  add_filter_flags(*command, flags->filter);
  command->callback([flags] { run(*flags); });
}

}  // namespace mica

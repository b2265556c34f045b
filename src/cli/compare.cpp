// mica compare: whether two runs differ, and whether they may be compared at all.
#include "bench/report/compare.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "bench/report/table.h"
#include "cli/commands.h"
#include "cli/results_folder.h"

namespace mica {
namespace {

struct CompareFlags {
  std::string folder, a, b, format = "table", fail_on_regression;
  bool anyway = false;
};

CompareFormat format_of(const std::string& text) {
  if (text == "json") return CompareFormat::kJson;
  return text == "md" ? CompareFormat::kMarkdown : CompareFormat::kTable;
}

// Status 6 for what the gate is to stop.
void fail_on_regression(const Comparison& comparison, const CompareFlags& flags) {
  const double share = parse_share(flags.fail_on_regression);
  if (!comparison.not_comparable.empty() && !flags.anyway)
    throw Error(ErrorKind::kMeasurement,
                "[compare] the runs are not comparable, so no regression can be ruled out: {} "
                "(--anyway compares them all the same)",
                comparison.not_comparable[0]);
  std::string found;
  for (const ComparedMetric& metric : regressions(comparison, share))
    found += fmt::format("{}{} {}", found.empty() ? "" : ", ", metric.title,
                         percent_text(metric.change));
  if (!found.empty())
    throw Error(ErrorKind::kMeasurement, "[compare] worse by more than {:g} %: {}", 100 * share,
                found);
}

void run(const CompareFlags& flags) {
  if (!flags.fail_on_regression.empty()) parse_share(flags.fail_on_regression);  // before the work
  ResultStore store = open_results(flags.folder);
  const Comparison comparison = compare_runs(store.load(flags.a), store.load(flags.b));
  std::fputs(to_text(comparison, format_of(flags.format)).c_str(), stdout);
  std::fflush(stdout);
  if (!flags.fail_on_regression.empty()) fail_on_regression(comparison, flags);
}

}  // namespace

void add_compare_command(CLI::App& app) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* command =
      app.add_subcommand("compare", "Two runs beside each other, with intervals and tests");
  command->add_option("A", flags->a, "Run: id, the beginning of one, 'last', or a file")
      ->required();
  command->add_option("B", flags->b, "Run that is compared with it")->required();
  add_results_flag(*command, flags->folder);
  command->add_option("--format", flags->format, "table, md or json")
      ->check(CLI::IsMember({"table", "md", "json"}))
      ->capture_default_str();
  command->add_option("--fail-on-regression", flags->fail_on_regression,
                      "Exit status 6 when B is significantly worse by more than this: 3%");
  command->add_flag("--anyway", flags->anyway,
                    "With --fail-on-regression: also runs that are not comparable");
  command->callback([flags] { run(*flags); });
}

}  // namespace mica

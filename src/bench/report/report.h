// Reports of runs: tables, and one HTML page with charts.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/report/table.h"
#include "bench/results/run_record.h"

namespace mica {

enum class ReportFormat { kTable, kMarkdown, kCsv, kHtml, kJson };
// "table", "md", "csv", "html", "json"; throws Error(kUsage).
ReportFormat parse_report_format(std::string_view text);

struct ReportOptions {
  ReportFormat format = ReportFormat::kTable;
  std::string mica_version;
  std::string made;  // UTC, for the page's foot; empty = left out
};

// Runs in the order given. Every report but CSV ends with the definitions of its figures.
std::string make_report(const std::vector<RunRecord>& runs, const ReportOptions& options);

// The parts:
Table report_table(const std::vector<RunRecord>& runs);  // for people: ms, three digits
Table csv_table(const std::vector<RunRecord>& runs);     // for programs: s, all digits
// One object: runs with their figures, distributions and timelines; what the page draws.
std::string report_data(const std::vector<RunRecord>& runs, const ReportOptions& options);
std::string report_page(const std::string& data);  // HTML without any other file

// The engine's own, else the plan's; or empty.
std::string engine_version(const RunRecord& run);

// Output tokens a second that one user sees: 1 / median TPOT; and that one GPU makes: output
// throughput / GPUs. Nothing where it is not known, the second also on a machine without GPUs.
std::optional<double> tokens_per_user(const RunRecord& run);
std::optional<double> tokens_per_gpu(const RunRecord& run);
// Energy of the GPUs over the measured time (telemetry "energy") / output tokens.
std::optional<double> joules_per_token(const RunRecord& run);
// Requests at once that were asked for ("closed:8"), else the mean that was measured.
double concurrency_of(const RunRecord& run);

}  // namespace mica

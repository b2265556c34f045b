#include "bench/report/report.h"

#include <algorithm>

#include "base/error.h"
#include "bench/load/arrivals.h"
#include "bench/report/compare.h"
#include "bench/report/details.h"
#include "bench/report/saturation.h"
#include "bench/statistics/metric.h"

namespace mica {
namespace {

struct Format {
  const char* name;
  ReportFormat format;
};
constexpr Format kFormats[] = {
    {"table", ReportFormat::kTable}, {"md", ReportFormat::kMarkdown}, {"csv", ReportFormat::kCsv},
    {"html", ReportFormat::kHtml},   {"json", ReportFormat::kJson},
};

std::string figure(const RunRecord& run, const char* metric, double Distribution::*member) {
  const Distribution* distribution = run.summary.figure(metric);
  return distribution ? milliseconds_text(distribution->*member) : "-";
}

// "41.2 ±0.3"
std::string figure_with_interval(const RunRecord& run, const char* metric) {
  const Distribution* distribution = run.summary.figure(metric);
  if (!distribution) return "-";
  std::string text = milliseconds_text(distribution->median);
  if (distribution->median_interval) {
    const double half = distribution->median_interval->width() / 2;
    const bool rounding = half < 1e-9 * distribution->median;  // of sums of equal times
    text += " ±" + milliseconds_text(rounding ? 0 : half);
  }
  return text;
}

std::string rate(const RunRecord& run, const char* metric) {
  const auto value = run.summary.rate(metric);
  return value ? number_text(*value) : "";
}

std::string optional_number(std::optional<double> value) {
  return value ? number_text(*value) : "";
}

std::string lengths(const RunRecord& run) {
  const Distribution *in = run.summary.figure("prompt_tokens"),
                     *out = run.summary.figure("output_tokens");
  return fmt::format("{}+{}", in ? fmt::format("{:.0f}", in->median) : "?",
                     out ? fmt::format("{:.0f}", out->median) : "?");
}

// Of all GPUs of a run, as the CSV has them: sums of memory and power, the extremes of the others.
// Empty: not told.
std::vector<std::string> gpu_cells(const RunRecord& run) {
  GpuUseRecord all;
  std::string slowdown;
  for (const GpuUseRecord& gpu : run.gpu_use) {
    all.peak_memory += gpu.peak_memory;
    all.peak_own_memory += gpu.peak_own_memory;
    all.mean_power += gpu.mean_power;
    all.max_temperature = std::max(all.max_temperature, gpu.max_temperature);
    all.max_sm_clock = std::max(all.max_sm_clock, gpu.max_sm_clock);
    if (gpu.min_sm_clock > 0)
      all.min_sm_clock =
          all.min_sm_clock > 0 ? std::min(all.min_sm_clock, gpu.min_sm_clock) : gpu.min_sm_clock;
    if (!gpu.slowdown.empty())
      slowdown +=
          fmt::format("{}GPU {}: {}", slowdown.empty() ? "" : "; ", gpu.index, gpu.slowdown);
  }
  const auto cell = [](auto value) { return value > 0 ? fmt::format("{}", value) : std::string(); };
  return {cell(all.peak_memory),
          cell(all.peak_own_memory),
          cell(all.mean_power),
          cell(all.max_temperature),
          cell(all.min_sm_clock),
          cell(all.max_sm_clock),
          slowdown};
}

std::string worst_mark(const RunRecord& run) {
  if (run.invalid()) return "INVALID";
  const auto warnings = std::count_if(run.marks.begin(), run.marks.end(), [](const Mark& mark) {
    return mark.severity == Severity::kWarning;
  });
  std::string text = run.state == RunState::kFinished ? "" : name(run.state);
  if (warnings > 0)
    text +=
        fmt::format("{}{} warning{}", text.empty() ? "" : ", ", warnings, warnings == 1 ? "" : "s");
  return text;
}

std::string marks_text(const std::vector<RunRecord>& runs, bool markdown) {
  std::string out;
  for (size_t i = 0; i < runs.size(); ++i) {
    const RunRecord& run = runs[i];
    const std::vector<std::string> details = details_of(run);
    if (run.marks.empty() && !run.imported && run.error.empty() && details.empty()) continue;
    out += fmt::format("{}{}: {}{}\n", markdown ? "**" : "", i + 1, title_of(run),
                       markdown ? "**" : "");
    if (markdown) out += "\n";
    if (!run.error.empty()) out += fmt::format("- {}: {}\n", name(run.state), run.error);
    for (const Mark& mark : run.marks)
      out += fmt::format("- {}: {}\n", name(mark.severity), mark.text);
    for (const std::string& detail : details) out += "- " + detail + "\n";
    if (run.imported)
      for (const std::string& item : run.imported->missing) out += "- not known: " + item + "\n";
    out += "\n";
  }
  return out;
}

// Good requests a second, their share, and whether all limits hold as MLPerf wants it.
std::string goodput_text(const RunRecord& run) {
  const auto& goodput = run.summary.goodput;
  if (!goodput) return "";
  return fmt::format("{:.3g}/s, {:.0f} %{}", goodput->rate, 100 * goodput->share,
                     goodput->met ? ", met" : "");
}

std::string saturation_text(const std::vector<RunRecord>& runs, bool markdown) {
  std::string out;
  for (const Saturation& each : saturations(runs))
    out += (markdown ? "- " : "") + each.text() + "\n";
  return out.empty() ? "" : (markdown ? "## Saturation\n\n" : "Saturation\n") + out + "\n";
}

std::string definitions_text(bool markdown) {
  std::string out = markdown ? "## Definitions\n\n" : "Definitions\n";
  const auto add = [&](const char* title, const char* text) {
    out += markdown ? fmt::format("- **{}**: {}\n", title, text)
                    : fmt::format("  {}: {}\n", title, text);
  };
  for (const RequestMetric& metric : request_metrics()) add(metric.title, metric.definition);
  for (const RunMetric& metric : run_metrics()) add(metric.title, metric.definition);
  add("tok/s per user", "1 / median TPOT.");
  add("tok/s per GPU", "Output tok/s / GPUs that did the work.");
  add("J/tok", "Energy of the used GPUs while the requests ran / output tokens.");
  add("good", "Goodput: good requests/s, their share, and \"met\" where 99 % keep each limit.");
  add("-", "Not told by these requests, such as TPOT of answers in one or two chunks.");
  add("±", "Half of the 95 % interval of the median.");
  for (const char* note : method_notes())
    out += fmt::format("{}{}\n", markdown ? "- " : "  ", note);
  return out;
}

}  // namespace

ReportFormat parse_report_format(std::string_view text) {
  for (const Format& format : kFormats)
    if (text == format.name) return format.format;
  throw Error(ErrorKind::kUsage, "report: expected table, md, csv, html or json, found '{}'", text);
}

std::string engine_version(const RunRecord& run) {
  const std::string& reported = run.provenance.engine.version;
  return reported.empty() ? run.plan.value("backend_version") : reported;
}

std::optional<double> tokens_per_user(const RunRecord& run) {
  const Distribution* tpot = run.summary.figure("tpot");
  return tpot && tpot->median > 0 ? std::optional(1 / tpot->median) : std::nullopt;
}

std::optional<double> tokens_per_gpu(const RunRecord& run) {
  const auto throughput = run.summary.rate("output_throughput");
  if (!throughput || run.gpu_count() == 0) return std::nullopt;
  return *throughput / run.gpu_count();
}

std::optional<double> joules_per_token(const RunRecord& run) {
  for (const SeriesRecord& series : run.telemetry)
    if (series.name == "energy" && series.values.size() == 1 && run.summary.output_tokens > 0)
      return series.values[0] / static_cast<double>(run.summary.output_tokens);
  return std::nullopt;
}

double concurrency_of(const RunRecord& run) {
  constexpr std::string_view kClosed = "closed:";
  if (run.workload.arrivals.starts_with(kClosed))
    return parse_arrivals(run.workload.arrivals).concurrency;
  return run.summary.rate("mean_concurrency").value_or(0);
}

Table report_table(const std::vector<RunRecord>& runs) {
  Table table;
  table.columns = {{"#", true},       {"backend", false}, {"model", false},  {"load", false},
                   {"in+out", true},  {"ok", true},       {"TTFT ms", true}, {"p99", true},
                   {"TPOT ms", true}, {"p99", true},      {"E2E ms", true},  {"out tok/s", true},
                   {"/user", true},   {"/GPU", true},     {"J/tok", true}};
  const bool limited = std::any_of(runs.begin(), runs.end(), [](const RunRecord& run) {
    return run.summary.goodput.has_value();
  });
  if (limited) table.columns.push_back({"good", false});
  table.columns.push_back({"", false});
  for (size_t i = 0; i < runs.size(); ++i) {
    const RunRecord& run = runs[i];
    const std::string version = engine_version(run);
    table.rows.push_back(
        {fmt::format("{}", i + 1), run.backend() + (version.empty() ? "" : " " + version),
         run.provenance.model.id, run.workload.arrivals, lengths(run),
         fmt::format("{}/{}", run.summary.finished, run.summary.requests),
         figure_with_interval(run, "ttft"), figure(run, "ttft", &Distribution::p99),
         figure_with_interval(run, "tpot"), figure(run, "tpot", &Distribution::p99),
         figure(run, "e2e", &Distribution::median), rate(run, "output_throughput"),
         optional_number(tokens_per_user(run)), optional_number(tokens_per_gpu(run)),
         optional_number(joules_per_token(run))});
    if (limited) table.rows.back().push_back(goodput_text(run));
    table.rows.back().push_back(worst_mark(run));
  }
  return table;
}

Table csv_table(const std::vector<RunRecord>& runs) {
  struct Statistic {
    const char* name;
    double Distribution::*member;
  };
  constexpr Statistic kStatistics[] = {
      {"mean", &Distribution::mean},     {"deviation", &Distribution::deviation},
      {"median", &Distribution::median}, {"p90", &Distribution::p90},
      {"p95", &Distribution::p95},       {"p99", &Distribution::p99}};
  Table table;
  for (const char* title :
       {"id", "started", "state", "group", "backend", "version", "model", "revision", "hardware",
        "workload", "load", "cache", "requests", "finished", "invalid"})
    table.columns.push_back({title, false});
  for (const RunMetric& metric : run_metrics()) table.columns.push_back({metric.name, true});
  table.columns.push_back({"tokens_per_user", true});
  table.columns.push_back({"tokens_per_gpu", true});
  table.columns.push_back({"joules_per_token", true});
  for (const char* title : {"gpus_peak_memory_mib", "gpus_peak_own_memory_mib", "gpus_mean_power_w",
                            "gpus_max_temperature_c", "gpus_min_sm_clock_mhz",
                            "gpus_max_sm_clock_mhz", "gpus_slowdown"})
    table.columns.push_back({title, true});
  for (const RequestMetric& metric : request_metrics())
    for (const Statistic& statistic : kStatistics)
      table.columns.push_back({fmt::format("{}_{}", metric.name, statistic.name), true});
  const auto cell = [](std::optional<double> value) {
    return value ? fmt::format("{}", *value) : std::string();
  };
  for (const RunRecord& run : runs) {
    std::vector<std::string> row = {run.id,
                                    run.started,
                                    name(run.state),
                                    run.group,
                                    run.backend(),
                                    engine_version(run),
                                    run.provenance.model.id,
                                    run.provenance.model.revision,
                                    run.gpu_name(),
                                    run.workload.name,
                                    run.workload.arrivals,
                                    run.workload.cache,
                                    fmt::format("{}", run.summary.requests),
                                    fmt::format("{}", run.summary.finished),
                                    run.invalid() ? "1" : "0"};
    for (const RunMetric& metric : run_metrics())
      row.push_back(cell(run.summary.rate(metric.name)));
    row.push_back(cell(tokens_per_user(run)));
    row.push_back(cell(tokens_per_gpu(run)));
    row.push_back(cell(joules_per_token(run)));
    for (std::string& text : gpu_cells(run)) row.push_back(std::move(text));
    for (const RequestMetric& metric : request_metrics()) {
      const Distribution* distribution = run.summary.figure(metric.name);
      for (const Statistic& statistic : kStatistics)
        row.push_back(distribution ? cell(distribution->*statistic.member) : "");
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string make_report(const std::vector<RunRecord>& runs, const ReportOptions& options) {
  switch (options.format) {
    case ReportFormat::kTable:
      return to_text(report_table(runs)) + "\n" + saturation_text(runs, false) +
             marks_text(runs, false) + definitions_text(false);
    case ReportFormat::kMarkdown:
      return "# Benchmark report\n\n" + to_markdown(report_table(runs)) + "\n" +
             saturation_text(runs, true) + marks_text(runs, true) + definitions_text(true);
    case ReportFormat::kCsv: return to_csv(csv_table(runs));
    case ReportFormat::kJson: return report_data(runs, options) + "\n";
    case ReportFormat::kHtml: return report_page(report_data(runs, options));
  }
  MICA_CHECK(false);
}

}  // namespace mica

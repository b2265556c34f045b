#include "bench/report/compare.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "bench/report/table.h"
#include "bench/statistics/bootstrap.h"

namespace mica {
namespace {

constexpr double kSignificant = 0.05;

double change_of(double a, double b) {
  return a != 0 ? b / a - 1 : 0;
}

Verdict verdict_of(const ComparedMetric& metric) {
  if (!metric.change_interval || !metric.p || *metric.p >= kSignificant) return Verdict::kUnclear;
  const bool more = metric.change_interval->low > 0, less = metric.change_interval->high < 0;
  if (!more && !less) return Verdict::kUnclear;
  if (metric.better == Better::kNeither) return Verdict::kDiffers;
  return more == (metric.better == Better::kHigher) ? Verdict::kBetter : Verdict::kWorse;
}

using Test = double (*)(std::span<const double> a, std::span<const double> b);

double test_ranks(std::span<const double> a, std::span<const double> b) {
  return rank_p(a, b);
}
double test_means(std::span<const double> a, std::span<const double> b) {
  return permutation_p(a, b, mean_statistic);
}

// Two independent samples with their test.
void judge(std::span<const double> a, std::span<const double> b, Statistic statistic, Test test,
           ComparedMetric& metric) {
  if (a.size() < 2 || b.size() < 2 || metric.a == 0) return;
  const Interval ratio = bootstrap_ratio(a, b, statistic);
  metric.change_interval = Interval{ratio.low - 1, ratio.high - 1};
  metric.p = test(a, b);
  metric.verdict = verdict_of(metric);
}

void compare_requests(const RunRecord& a, const RunRecord& b, std::vector<ComparedMetric>& out) {
  for (const RequestMetric& info : request_metrics()) {
    const Distribution *in_a = a.summary.figure(info.name), *in_b = b.summary.figure(info.name);
    if (info.better == Better::kNeither || !in_a || !in_b) continue;
    ComparedMetric metric{info.name, std::string(info.title) + " median", info.unit, info.better};
    metric.a = in_a->median;
    metric.b = in_b->median;
    metric.a_interval = in_a->median_interval;
    metric.b_interval = in_b->median_interval;
    metric.change = change_of(metric.a, metric.b);
    if (!info.pooled)
      judge(values_of(a.requests, info.name), values_of(b.requests, info.name), median_statistic,
            test_ranks, metric);
    out.push_back(std::move(metric));
  }
}

void compare_rates(const RunRecord& a, const RunRecord& b, std::vector<ComparedMetric>& out) {
  for (const RunMetric& info : run_metrics()) {
    const auto in_a = a.summary.rate(info.name), in_b = b.summary.rate(info.name);
    if (info.better == Better::kNeither || !in_a || !in_b) continue;
    ComparedMetric metric{info.name, info.title, info.unit, info.better};
    metric.a = *in_a;
    metric.b = *in_b;
    metric.change = change_of(metric.a, metric.b);
    if (metric.name == "output_throughput") {
      metric.a_interval = a.summary.output_throughput_interval;
      metric.b_interval = b.summary.output_throughput_interval;
      judge(a.summary.output_slices, b.summary.output_slices, mean_statistic, test_means, metric);
    }
    out.push_back(std::move(metric));
  }
}

// What both engines say about themselves, in the same words.
void compare_server(const RunRecord& a, const RunRecord& b, std::vector<ComparedMetric>& out) {
  for (const SeriesRecord& in_a : a.server) {
    const auto in_b = std::find_if(b.server.begin(), b.server.end(), [&](const SeriesRecord& s) {
      return s.name == in_a.name && s.source == in_a.source;
    });
    if (in_b == b.server.end() || in_a.values.empty() || in_b->values.empty()) continue;
    const RequestMetric* info = find_request_metric(in_a.name);
    ComparedMetric metric{"server." + in_a.name, in_a.source + " median", in_a.unit,
                          info ? info->better : Better::kNeither};
    metric.a = median_of(in_a.values);
    metric.b = median_of(in_b->values);
    metric.change = change_of(metric.a, metric.b);
    judge(in_a.values, in_b->values, median_statistic, test_ranks, metric);
    out.push_back(std::move(metric));
  }
}

std::string value_text(const ComparedMetric& metric, double value) {
  if (metric.unit == "s") return duration_text(value);
  if (metric.name == "error_rate") return fmt::format("{:.2f} %", 100 * value);
  return number_text(value) + (metric.unit == "1/s" ? " /s" : "");
}

std::string with_interval(const ComparedMetric& metric, double value,
                          const std::optional<Interval>& interval) {
  if (!interval) return value_text(metric, value);
  return fmt::format("{} ({} – {})", value_text(metric, value), value_text(metric, interval->low),
                     value_text(metric, interval->high));
}

Table table_of(const Comparison& comparison) {
  Table table;
  table.columns = {{"figure", false}, {"A", true}, {"B", true},    {"change", true},
                   {"95 %", true},    {"p", true}, {"B is", false}};
  for (const ComparedMetric& metric : comparison.metrics)
    table.rows.push_back({metric.title, with_interval(metric, metric.a, metric.a_interval),
                          with_interval(metric, metric.b, metric.b_interval),
                          metric.a != 0 ? percent_text(metric.change) : "",
                          metric.change_interval
                              ? percent_text(metric.change_interval->low) + " – " +
                                    percent_text(metric.change_interval->high)
                              : "",
                          metric.p ? fmt::format("{:.4f}", *metric.p) : "", name(metric.verdict)});
  return table;
}

void add_list(std::string& out, const std::string& title, const std::vector<std::string>& items) {
  if (items.empty()) return;
  out += title + "\n";
  for (const std::string& item : items) out += "- " + item + "\n";
  out += "\n";
}

nlohmann::ordered_json json_of(const ComparedMetric& metric) {
  nlohmann::ordered_json json = {{"name", metric.name}, {"title", metric.title},
                                 {"unit", metric.unit}, {"a", metric.a},
                                 {"b", metric.b},       {"change", metric.change}};
  const auto add = [&](const char* key, const std::optional<Interval>& interval) {
    if (interval) json[key] = {interval->low, interval->high};
  };
  add("a_interval", metric.a_interval);
  add("b_interval", metric.b_interval);
  add("change_interval", metric.change_interval);
  if (metric.p) json["p"] = *metric.p;
  json["verdict"] = name(metric.verdict);
  return json;
}

std::string to_json(const Comparison& comparison) {
  nlohmann::ordered_json json = {{"a", comparison.a},
                                 {"b", comparison.b},
                                 {"not_comparable", comparison.not_comparable},
                                 {"differences", comparison.differences},
                                 {"metrics", nlohmann::ordered_json::array()}};
  for (const ComparedMetric& metric : comparison.metrics)
    json["metrics"].push_back(json_of(metric));
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

const char* name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kUnclear: return "unclear";
    case Verdict::kBetter: return "better";
    case Verdict::kWorse: return "worse";
    case Verdict::kDiffers: return "differs";
  }
  MICA_CHECK(false);
}

std::string title_of(const RunRecord& run) {
  std::string text = run.backend();
  const std::string& version = run.provenance.engine.version.empty()
                                   ? run.plan.value("backend_version")
                                   : run.provenance.engine.version;
  if (!version.empty()) text += " " + version;
  for (const std::string& part : {run.provenance.model.id, run.workload.arrivals, run.id})
    if (!part.empty()) text += ", " + part;
  return text;
}

Comparison compare_runs(const RunRecord& a, const RunRecord& b) {
  Comparison out;
  out.a = title_of(a);
  out.b = title_of(b);
  find_differences(a, b, out.not_comparable, out.differences);
  compare_requests(a, b, out.metrics);
  compare_rates(a, b, out.metrics);
  compare_server(a, b, out.metrics);
  return out;
}

double parse_share(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view rest = text.substr(static_cast<size_t>(end - text.data()));
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  const bool percent = rest == "%";
  if (error != std::errc{} || (!rest.empty() && !percent) || !(value >= 0) ||
      value > (percent ? 100 : 1))
    throw Error(ErrorKind::kUsage, "expected a share such as 3% or 0.03, found '{}'", text);
  return percent ? value / 100 : value;
}

std::vector<ComparedMetric> regressions(const Comparison& comparison, double share) {
  std::vector<ComparedMetric> out;
  std::copy_if(comparison.metrics.begin(), comparison.metrics.end(), std::back_inserter(out),
               [&](const ComparedMetric& metric) {
                 if (metric.name == "error_rate") return metric.b - metric.a > 0.01;
                 const double loss =
                     metric.better == Better::kHigher ? -metric.change : metric.change;
                 return metric.verdict == Verdict::kWorse && loss > share;
               });
  return out;
}

std::string to_text(const Comparison& comparison, CompareFormat format) {
  if (format == CompareFormat::kJson) return to_json(comparison);
  const bool markdown = format == CompareFormat::kMarkdown;
  std::string out = fmt::format("{}A: {}\n{}B: {}\n\n", markdown ? "- " : "", comparison.a,
                                markdown ? "- " : "", comparison.b);
  add_list(out, "Not comparable because of", comparison.not_comparable);
  add_list(out, "Also different or worth knowing", comparison.differences);
  out += markdown ? to_markdown(table_of(comparison)) : to_text(table_of(comparison));
  out +=
      "\nbetter, worse: the interval of the change excludes 0 and p < 0.05 (permutation test of "
      "ranks, of throughput of means), for "
      "each figure alone.\nIntervals are of this run's requests; another start of an engine may "
      "differ by more.\n";
  return out;
}

}  // namespace mica

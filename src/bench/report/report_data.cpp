// What the page draws.
#include <algorithm>

#include "bench/report/details.h"
#include "bench/report/report.h"
#include "bench/results/parts_json.h"
#include "bench/statistics/metric.h"

namespace mica {
namespace {

constexpr size_t kMaxTimeline = 400, kMaxPoints = 300;

OrderedJson definitions() {
  OrderedJson out = OrderedJson::array();
  const auto add = [&](const auto& metric, bool of_request) {
    out.push_back({{"name", metric.name},
                   {"title", metric.title},
                   {"unit", metric.unit},
                   {"better", metric.better == Better::kLower    ? "lower"
                              : metric.better == Better::kHigher ? "higher"
                                                                 : ""},
                   {"of", of_request ? "request" : "run"},
                   {"text", metric.definition}});
  };
  for (const RequestMetric& metric : request_metrics()) add(metric, true);
  for (const RunMetric& metric : run_metrics()) add(metric, false);
  return out;
}

// 101 values: the percentiles 0 to 100.
OrderedJson quantiles(const RunRecord& run, const char* metric) {
  std::vector<double> values = values_of(run.requests, metric);
  OrderedJson out = OrderedJson::array();
  if (values.empty()) return out;
  std::sort(values.begin(), values.end());
  for (int percent = 0; percent <= 100; ++percent) out.push_back(percentile(values, percent));
  return out;
}

OrderedJson time_json(double time) {
  return time == RequestSample::kNever ? OrderedJson() : OrderedJson(time);
}

// [sent, first token, end, status, prompt tokens, output tokens] of the first requests.
OrderedJson timeline(const RunRecord& run) {
  OrderedJson out = OrderedJson::array();
  for (const RequestSample& record : run.requests) {
    if (record.warmup || record.sent == RequestSample::kNever) continue;
    if (out.size() == kMaxTimeline) break;
    out.push_back({record.sent, time_json(record.first_token), time_json(record.ended),
                   name(record.status), record.prompt_tokens, record.output_tokens()});
  }
  return out;
}

// At most kMaxPoints of a series: every so many-th.
OrderedJson thinned(const SeriesRecord& series) {
  OrderedJson times = OrderedJson::array(), values = OrderedJson::array();
  const size_t step = (series.values.size() + kMaxPoints - 1) / kMaxPoints;
  for (size_t i = 0; i < series.values.size(); i += std::max<size_t>(step, 1)) {
    if (!series.times.empty()) times.push_back(series.times[i]);
    values.push_back(series.values[i]);
  }
  return {{"name", series.name},
          {"unit", series.unit},
          {"source", series.source},
          {"times", times},
          {"values", values}};
}

OrderedJson series_list(const std::vector<SeriesRecord>& list) {
  OrderedJson out = OrderedJson::array();
  for (const SeriesRecord& series : list) out.push_back(thinned(series));
  return out;
}

void put_number(OrderedJson& json, const char* key, std::optional<double> value) {
  if (value) json[key] = *value;
}

OrderedJson run_json(const RunRecord& run) {
  OrderedJson json = head_json(run);
  json["hardware"] = run.gpu_name();
  json["gpu_count"] = run.gpu_count();
  json["concurrency"] = concurrency_of(run);
  json["invalid"] = run.invalid();
  put_number(json, "tokens_per_user", tokens_per_user(run));
  put_number(json, "tokens_per_gpu", tokens_per_gpu(run));
  put_number(json, "joules_per_token", joules_per_token(run));
  json["phases"] = OrderedJson::array();
  for (const PhaseRecord& phase : run.phases) json["phases"].push_back(phase_json(phase));
  json["marks"] = OrderedJson::array();
  for (const Mark& mark : run.marks) json["marks"].push_back(mark_json(mark));
  json["details"] = details_of(run);
  json["summary"] = summary_json(run.summary);
  json["quantiles"] = OrderedJson::object();
  for (const char* metric : {"ttft", "itl", "tpot", "e2e"})
    if (OrderedJson values = quantiles(run, metric); !values.empty())
      json["quantiles"][metric] = std::move(values);
  json["timeline"] = timeline(run);
  json["server"] = series_list(run.server);
  json["telemetry"] = series_list(run.telemetry);
  return json;
}

}  // namespace

std::string report_data(const std::vector<RunRecord>& runs, const ReportOptions& options) {
  OrderedJson json = {{"mica_version", options.mica_version}};
  put(json, "made", options.made);
  json["definitions"] = definitions();
  json["method"] = OrderedJson::array();
  for (const char* note : method_notes()) json["method"].push_back(note);
  json["runs"] = OrderedJson::array();
  for (const RunRecord& run : runs) json["runs"].push_back(run_json(run));
  return dump(json);
}

}  // namespace mica

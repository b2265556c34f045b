// Summaries, phases, series and marks.
#include "bench/results/parts_json.h"

namespace mica {
namespace {

// A member of Distribution by its name in files.
struct Figure {
  const char* name;
  double Distribution::*member;
};
constexpr Figure kFigures[] = {
    {"mean", &Distribution::mean},     {"deviation", &Distribution::deviation},
    {"cv", &Distribution::variation},  {"min", &Distribution::min},
    {"median", &Distribution::median}, {"p90", &Distribution::p90},
    {"p95", &Distribution::p95},       {"p99", &Distribution::p99},
    {"max", &Distribution::max},
};

OrderedJson interval_json(const Interval& interval) {
  return {interval.low, interval.high};
}

std::optional<Interval> find_interval(const JsonNode& node, const char* key) {
  const auto pair = node.find(key);
  if (!pair) return std::nullopt;
  const std::vector<JsonNode> ends = pair->items();
  if (ends.size() != 2) pair->wrong("two numbers");
  return Interval{ends[0].number(), ends[1].number()};
}

OrderedJson distribution_json(const Distribution& distribution) {
  OrderedJson json = {{"count", distribution.count}};
  for (const Figure& figure : kFigures) json[figure.name] = distribution.*figure.member;
  if (distribution.mean_interval)
    json["mean_interval"] = interval_json(*distribution.mean_interval);
  if (distribution.median_interval)
    json["median_interval"] = interval_json(*distribution.median_interval);
  if (distribution.drift)
    json["drift"] = {{"p", distribution.drift->p},
                     {"change", distribution.drift->change},
                     {"flagged", distribution.drift->flagged}};
  if (!distribution.outliers.empty()) json["outliers"] = distribution.outliers;
  return json;
}

Distribution read_distribution(const JsonNode& node) {
  Distribution distribution;
  node.read("count", distribution.count);
  for (const Figure& figure : kFigures) node.read(figure.name, distribution.*figure.member);
  distribution.mean_interval = find_interval(node, "mean_interval");
  distribution.median_interval = find_interval(node, "median_interval");
  if (const auto drift = node.find("drift")) {
    distribution.drift.emplace();
    drift->read("p", distribution.drift->p);
    drift->read("change", distribution.drift->change);
    drift->read("flagged", distribution.drift->flagged);
  }
  if (const auto outliers = node.find("outliers"))
    for (const JsonNode& place : outliers->items())
      distribution.outliers.push_back(place.integer());
  return distribution;
}

OrderedJson goodput_json(const Goodput& goodput) {
  OrderedJson limits = OrderedJson::object();
  put(limits, "name", goodput.limits.name);
  if (goodput.limits.ttft) limits["ttft"] = *goodput.limits.ttft;
  if (goodput.limits.tpot) limits["tpot"] = *goodput.limits.tpot;
  if (goodput.limits.e2e) limits["e2e"] = *goodput.limits.e2e;
  return {{"limits", std::move(limits)},
          {"good", goodput.good},
          {"rate", goodput.rate},
          {"share", goodput.share},
          {"met", goodput.met}};
}

Goodput read_goodput(const JsonNode& node) {
  Goodput goodput;
  if (const auto limits = node.find("limits")) {
    limits->read("name", goodput.limits.name);
    if (const auto limit = limits->find("ttft")) goodput.limits.ttft = limit->number();
    if (const auto limit = limits->find("tpot")) goodput.limits.tpot = limit->number();
    if (const auto limit = limits->find("e2e")) goodput.limits.e2e = limit->number();
  }
  node.read("good", goodput.good);
  node.read("rate", goodput.rate);
  node.read("share", goodput.share);
  node.read("met", goodput.met);
  return goodput;
}

}  // namespace

OrderedJson phase_json(const PhaseRecord& phase) {
  OrderedJson json = {{"name", phase.name}, {"seconds", phase.seconds}};
  put(json, "note", phase.note);
  return json;
}

PhaseRecord read_phase(const JsonNode& node) {
  PhaseRecord phase;
  phase.name = node.at("name").text();
  phase.seconds = node.at("seconds").number();
  node.read("note", phase.note);
  return phase;
}

OrderedJson series_json(const SeriesRecord& series) {
  OrderedJson json = {{"name", series.name}};
  put(json, "unit", series.unit);
  put(json, "source", series.source);
  if (!series.times.empty()) json["times"] = series.times;
  json["values"] = series.values;
  return json;
}

SeriesRecord read_series(const JsonNode& node) {
  SeriesRecord series;
  series.name = node.at("name").text();
  node.read("unit", series.unit);
  node.read("source", series.source);
  node.read("times", series.times);
  node.read("values", series.values);
  if (!series.times.empty() && series.times.size() != series.values.size())
    node.wrong("as many times as values");
  return series;
}

OrderedJson gpu_use_json(const GpuUseRecord& use) {
  OrderedJson json = {{"index", use.index}};
  put(json, "name", use.name);
  const auto told = [&](const char* key, auto value) {
    if (value != 0) json[key] = value;
  };
  told("peak_memory", use.peak_memory);
  told("peak_own_memory", use.peak_own_memory);
  if (use.mean_busy > 0) json["mean_busy"] = use.mean_busy;
  if (use.mean_power > 0) json["mean_power"] = use.mean_power;
  if (use.mean_temperature > 0) json["mean_temperature"] = use.mean_temperature;
  told("max_temperature", use.max_temperature);
  told("min_sm_clock", use.min_sm_clock);
  told("max_sm_clock", use.max_sm_clock);
  put(json, "slowdown", use.slowdown);
  if (use.slowed > 0) json["slowed"] = use.slowed;
  return json;
}

GpuUseRecord read_gpu_use(const JsonNode& node) {
  GpuUseRecord use;
  use.index = static_cast<int>(node.at("index").integer());
  node.read("name", use.name);
  node.read("peak_memory", use.peak_memory);
  node.read("peak_own_memory", use.peak_own_memory);
  node.read("mean_busy", use.mean_busy);
  node.read("mean_power", use.mean_power);
  node.read("mean_temperature", use.mean_temperature);
  node.read("max_temperature", use.max_temperature);
  node.read("min_sm_clock", use.min_sm_clock);
  node.read("max_sm_clock", use.max_sm_clock);
  node.read("slowdown", use.slowdown);
  node.read("slowed", use.slowed);
  return use;
}

OrderedJson mark_json(const Mark& mark) {
  return {{"severity", name(mark.severity)}, {"code", mark.code}, {"text", mark.text}};
}

Mark read_mark(const JsonNode& node) {
  Mark mark;
  const JsonNode severity = node.at("severity");
  const std::string text = severity.text();
  if (text == name(Severity::kInvalid))
    mark.severity = Severity::kInvalid;
  else if (text == name(Severity::kWarning))
    mark.severity = Severity::kWarning;
  else if (text != name(Severity::kNote))
    severity.wrong("note, warning or invalid");
  mark.code = node.at("code").text();
  mark.text = node.at("text").text();
  return mark;
}

OrderedJson summary_json(const RunSummary& summary) {
  OrderedJson json = {{"begin", summary.begin},       {"end", summary.end},
                      {"warmup", summary.warmup},     {"requests", summary.requests},
                      {"finished", summary.finished}, {"statuses", OrderedJson::object()}};
  for (const auto& [status, count] : summary.statuses) json["statuses"][status] = count;
  json["prompt_tokens"] = summary.prompt_tokens;
  json["output_tokens"] = summary.output_tokens;
  json["cached_tokens"] = summary.cached_tokens;
  json["rates"] = OrderedJson::object();
  for (const auto& [name, value] : summary.rates) json["rates"][name] = value;
  json["figures"] = OrderedJson::object();
  for (const auto& [name, value] : summary.figures)
    json["figures"][name] = distribution_json(value);
  if (!summary.output_slices.empty()) json["output_slices"] = summary.output_slices;
  if (summary.output_throughput_interval)
    json["output_throughput_interval"] = interval_json(*summary.output_throughput_interval);
  if (summary.goodput) json["goodput"] = goodput_json(*summary.goodput);
  return json;
}

RunSummary read_summary(const JsonNode& node) {
  RunSummary summary;
  node.read("begin", summary.begin);
  node.read("end", summary.end);
  node.read("warmup", summary.warmup);
  node.read("requests", summary.requests);
  node.read("finished", summary.finished);
  if (const auto statuses = node.find("statuses"))
    for (const auto& [status, count] : statuses->members())
      summary.statuses.emplace_back(status, count.integer());
  node.read("prompt_tokens", summary.prompt_tokens);
  node.read("output_tokens", summary.output_tokens);
  node.read("cached_tokens", summary.cached_tokens);
  if (const auto rates = node.find("rates"))
    for (const auto& [name, value] : rates->members())
      summary.rates.emplace_back(name, value.number());
  if (const auto figures = node.find("figures"))
    for (const auto& [name, value] : figures->members())
      summary.figures.emplace_back(name, read_distribution(value));
  node.read("output_slices", summary.output_slices);
  summary.output_throughput_interval = find_interval(node, "output_throughput_interval");
  if (const auto goodput = node.find("goodput")) summary.goodput = read_goodput(*goodput);
  return summary;
}

}  // namespace mica

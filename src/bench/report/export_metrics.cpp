#include "bench/report/export_metrics.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bench/client/foreign_text.h"
#include "bench/client/image.h"
#include "bench/report/report.h"
#include "bench/results/json_node.h"
#include "bench/statistics/metric.h"

namespace mica {
namespace {

struct Point {
  const char* statistic;  // "median", "p90", "p99"; empty: the run's own
  double value;
};

struct Family {
  std::string name, unit, help;  // name and unit as metric.h has them
  std::vector<Point> points;
};

struct Unit {
  const char* unit;    // metric.h's
  const char* suffix;  // Prometheus wants it in the name
  const char* ucum;    // OTLP
};
constexpr Unit kUnits[] = {{"s", "_seconds", "s"},
                           {"tok/s", "_tokens_per_second", "{token}/s"},
                           {"1/s", "_per_second", "{request}/s"},
                           {"tok", "", "{token}"},  // their names say it
                           {"J/tok", "", "J/{token}"},
                           {"req", "", "{request}"},
                           {"", "", "1"}};

const Unit& unit_of(const Family& family) {
  for (const Unit& unit : kUnits)
    if (family.unit == unit.unit) return unit;
  throw Error(ErrorKind::kInternal, "[results] {}: no metric has the unit '{}'", family.name,
              family.unit);
}

std::vector<Family> families_of(const RunRecord& run) {
  std::vector<Family> families;
  for (const RequestMetric& metric : request_metrics())
    if (const Distribution* found = run.summary.figure(metric.name))
      families.push_back({metric.name,
                          metric.unit,
                          fmt::format("{}: {}", metric.title, metric.definition),
                          {{"median", found->median}, {"p90", found->p90}, {"p99", found->p99}}});
  const auto add = [&](const char* name, const char* unit, std::string help,
                       std::optional<double> value) {
    if (value) families.push_back({name, unit, std::move(help), {{"", *value}}});
  };
  for (const RunMetric& metric : run_metrics())
    add(metric.name, metric.unit, fmt::format("{}: {}", metric.title, metric.definition),
        run.summary.rate(metric.name));
  add("tokens_per_user", "tok/s", "tok/s per user: 1 / median TPOT.", tokens_per_user(run));
  add("tokens_per_gpu", "tok/s", "tok/s per GPU: output tok/s / GPUs that did the work.",
      tokens_per_gpu(run));
  add("joules_per_token", "J/tok", "J/tok: energy of the used GPUs / output tokens.",
      joules_per_token(run));
  add("requests", "req", "Measured requests.", static_cast<double>(run.summary.requests));
  add("finished_requests", "req", "Measured requests that finished.",
      static_cast<double>(run.summary.finished));
  return families;
}

using Labels = std::vector<std::pair<std::string, std::string>>;

// What is not known is left out: an empty label is none.
Labels labels_of(const RunRecord& run) {
  const Provenance& provenance = run.provenance;
  Labels labels = {{"backend", run.backend()},
                   {"engine_version", engine_version(run)},
                   {"model", provenance.model.id},
                   {"revision", provenance.model.revision},
                   {"gpu", run.gpu_count() > 0 ? run.gpu_name() : ""},
                   {"cpu", provenance.host.cpu},
                   {"workload", run.workload.name},
                   {"load", run.workload.arrivals},
                   {"cache", run.workload.cache},
                   {"group", run.group},
                   {"state", name(run.state)},
                   {"valid", run.invalid() ? "false" : "true"}};
  std::erase_if(labels, [](const auto& label) { return label.second.empty(); });
  return labels;
}

// Of "2026-01-31T12:00:00.123Z", since 1970; 0: it can't be read.
int64_t milliseconds_of(const std::string& started) {
  std::tm time{};
  const char* rest = ::strptime(started.c_str(), "%Y-%m-%dT%H:%M:%S", &time);
  const int64_t seconds = rest ? ::timegm(&time) : 0;
  if (seconds <= 0) return 0;
  int64_t fraction = 0;
  const char* end = started.c_str() + started.size();
  if (*rest == '.' && end - rest >= 4) std::from_chars(rest + 1, rest + 4, fraction);
  return seconds * 1000 + fraction;
}

std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || (quotes && c == '"')) out += '\\';
    out += c;
  }
  return out;
}

OrderedJson attribute(const std::string& key, const std::string& value) {
  return {{"key", key}, {"value", {{"stringValue", value}}}};
}

}  // namespace

std::string pushgateway_path(const std::string& id) {
  const auto plain = [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  };
  const std::string path = "/metrics/job/mica/run";
  if (std::all_of(id.begin(), id.end(), plain) && id.find_first_not_of('.') != std::string::npos)
    return path + "/" + id;
  std::string code = id.empty() ? "=" : base64(id);
  std::replace(code.begin(), code.end(), '+', '-');
  std::replace(code.begin(), code.end(), '/', '_');
  return path + "@base64/" + code;
}

std::string exposition_text(const RunRecord& run) {
  std::string labels;
  for (const auto& [key, value] : labels_of(run))
    labels += fmt::format("{}{}=\"{}\"", labels.empty() ? "" : ",", key, escaped(value, true));
  std::string out;
  const auto begin = [&](const std::string& name, const std::string& help) {
    out += fmt::format("# HELP {} {}\n# TYPE {} gauge\n", name, escaped(help, false), name);
  };
  for (const Family& family : families_of(run)) {
    // "tokens_per_user" says its tokens.
    const bool told = family.unit == "tok/s" && family.name.starts_with("tokens");
    const std::string name =
        "mica_" + family.name + (told ? "_per_second" : unit_of(family).suffix);
    begin(name, family.help);
    for (const auto& [statistic, value] : family.points)
      out += *statistic
                 ? fmt::format("{}{{{},statistic=\"{}\"}} {}\n", name, labels, statistic, value)
                 : fmt::format("{}{{{}}} {}\n", name, labels, value);
  }
  // The Pushgateway takes no times of samples.
  if (const int64_t started = milliseconds_of(run.started); started > 0) {
    begin("mica_started_timestamp_seconds", "Start of the run, seconds since 1970.");
    out += fmt::format("mica_started_timestamp_seconds{{{}}} {}.{:03}\n", labels, started / 1000,
                       started % 1000);
  }
  return out;
}

std::string otlp_json(const RunRecord& run) {
  OrderedJson attributes = OrderedJson::array();
  attributes.push_back(attribute("service.name", "mica"));
  attributes.push_back(attribute("service.instance.id", run.id));
  for (const auto& [key, value] : labels_of(run))
    attributes.push_back(attribute("mica." + key, value));
  const int64_t started = milliseconds_of(run.started);
  const std::string nanoseconds = started > 0 ? fmt::format("{}000000", started) : "0";
  OrderedJson metrics = OrderedJson::array();
  for (const Family& family : families_of(run)) {
    OrderedJson points = OrderedJson::array();
    for (const auto& [statistic, value] : family.points) {
      OrderedJson point = {{"timeUnixNano", nanoseconds}, {"asDouble", value}};
      if (*statistic) point["attributes"] = OrderedJson::array({attribute("statistic", statistic)});
      points.push_back(std::move(point));
    }
    metrics.push_back({{"name", "mica." + family.name},
                       {"description", family.help},
                       {"unit", unit_of(family).ucum},
                       {"gauge", {{"dataPoints", std::move(points)}}}});
  }
  OrderedJson scope = {{"name", "mica"}};
  put(scope, "version", run.provenance.mica_version);
  const OrderedJson scoped = {{"scope", std::move(scope)}, {"metrics", std::move(metrics)}};
  const OrderedJson resource = {{"resource", {{"attributes", std::move(attributes)}}},
                                {"scopeMetrics", OrderedJson::array({scoped})}};
  return dump({{"resourceMetrics", OrderedJson::array({resource})}});
}

std::string otlp_refusal(std::string_view answer) {
  const OrderedJson json = OrderedJson::parse(answer, nullptr, /*allow_exceptions=*/false);
  const auto partial = json.is_object() ? json.find("partialSuccess") : json.end();
  if (partial == json.end() || !partial->is_object()) return "";
  const auto count = partial->find("rejectedDataPoints");
  if (count == partial->end()) return "";
  // 64 bits are text in this JSON; some servers write a number.
  const std::string rejected = count->is_string()   ? count->get<std::string>()
                               : count->is_number() ? dump(*count)
                                                    : "0";
  if (rejected == "0") return "";
  const auto message = partial->find("errorMessage");
  const bool told = message != partial->end() && message->is_string();
  return shown(fmt::format("{} data points: {}", rejected,
                           told ? message->get<std::string>() : std::string("no reason was told")));
}

}  // namespace mica

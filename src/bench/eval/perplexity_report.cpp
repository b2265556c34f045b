#include "bench/eval/perplexity_report.h"

#include <fmt/format.h>

#include <cmath>

namespace mica {
namespace {

std::string shown(const std::optional<Interval>& interval, int digits) {
  if (!interval) return "   (too few tokens for an interval)";
  return fmt::format("   {:.{}f} to {:.{}f}", interval->low, digits, interval->high, digits);
}

std::string row(const char* name, double value, int digits, const std::string& rest = "") {
  return fmt::format("  {:<24}{:>10.{}f}{}\n", name, value, digits, rest);
}

double bits_per_byte(const Perplexity& perplexity, int64_t bytes) {
  return perplexity.mean_nll * static_cast<double>(perplexity.tokens) /
         (std::log(2) * static_cast<double>(bytes));
}

std::string perplexity_rows(const Perplexity& perplexity, int64_t bytes) {
  std::string text = row("perplexity", perplexity.value, 4, shown(perplexity.interval, 4)) +
                     row("nats a token", perplexity.mean_nll, 5);
  if (bytes > 0) text += row("bits a byte", bits_per_byte(perplexity, bytes), 4);
  return text;
}

std::string divergence_rows(const Divergence& d) {
  const Interval top = wilson_interval(d.top);
  return row("perplexity, reference", d.reference.value, 4, shown(d.reference.interval, 4)) +
         row("perplexity, model", d.model.value, 4, shown(d.model.interval, 4)) +
         row("ln of their ratio", d.log_ratio, 5, shown(d.log_ratio_interval, 5)) +
         row("KL divergence, mean", d.mean, 6, shown(d.mean_interval, 6) + "   nats a token") +
         row("  median", d.median, 6) + row("  90 %", d.p90, 6) + row("  99 %", d.p99, 6) +
         row("  largest", d.max, 6) +
         row("same top token, %", 100 * d.top.value(), 2,
             fmt::format("   {:.2f} to {:.2f}", 100 * top.low, 100 * top.high)) +
         row("p of the text, change", d.mean_probability_change, 5,
             fmt::format("   rms {:.5f}", d.rms_probability_change));
}

void put_interval(OrderedJson& json, const char* key, const std::optional<Interval>& interval) {
  if (interval) json[key] = {interval->low, interval->high};
}

OrderedJson perplexity_json(const Perplexity& perplexity) {
  OrderedJson json = {{"perplexity", perplexity.value}, {"nats_per_token", perplexity.mean_nll}};
  put_interval(json, "interval", perplexity.interval);
  return json;
}

OrderedJson divergence_json(const Divergence& d) {
  const Interval top = wilson_interval(d.top);
  OrderedJson json = {{"mean", d.mean}, {"median", d.median}, {"p90", d.p90},
                      {"p99", d.p99},   {"max", d.max},       {"log_ratio", d.log_ratio}};
  put_interval(json, "mean_interval", d.mean_interval);
  put_interval(json, "log_ratio_interval", d.log_ratio_interval);
  json["same_top"] = {{"share", d.top.value()}, {"low", top.low}, {"high", top.high}};
  json["probability_change"] = {{"mean", d.mean_probability_change},
                                {"rms", d.rms_probability_change}};
  return json;
}

int64_t tokens_of(const PerplexityReport& report) {
  return report.divergence ? report.divergence->model.tokens : report.perplexity->tokens;
}

}  // namespace

std::string report_text(const PerplexityReport& report) {
  std::string text = fmt::format(
      "{} with {}{}: {} tokens predicted, context {}, stride {}, {:.1f} s\n", report.text,
      report.model, report.reference.empty() ? "" : " against " + report.reference,
      tokens_of(report), report.windows.context, report.windows.stride, report.seconds);
  return text + (report.divergence ? divergence_rows(*report.divergence)
                                   : perplexity_rows(*report.perplexity, report.bytes));
}

OrderedJson report_json(const PerplexityReport& report) {
  OrderedJson json = {{"schema_version", 1}, {"text", report.text}, {"model", report.model}};
  put(json, "reference", report.reference);
  json["context"] = report.windows.context;
  json["stride"] = report.windows.stride;
  json["prefix"] = report.windows.prefix;
  json["tokens"] = tokens_of(report);
  json["seconds"] = report.seconds;
  if (report.divergence) {
    json["reference_result"] = perplexity_json(report.divergence->reference);
    json["result"] = perplexity_json(report.divergence->model);
    json["divergence"] = divergence_json(*report.divergence);
  } else {
    json["result"] = perplexity_json(*report.perplexity);
  }
  if (report.bytes > 0) {
    const Perplexity& p = report.divergence ? report.divergence->model : *report.perplexity;
    json["result"]["bits_per_byte"] = bits_per_byte(p, report.bytes);
  }
  return json;
}

}  // namespace mica

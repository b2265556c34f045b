#include "bench/offline_report.h"

#include <nlohmann/json.hpp>

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

std::string percent(double share) {
  return share > 0 ? fmt::format("{:.0f} %", 100 * share) : "";
}

std::string milliseconds(double seconds) {
  return seconds > 0 ? fmt::format("{:.3f}", 1e3 * seconds) : "";
}

Json to_json(const DeviceLimits& limits) {
  return {{"read",
           {{"median_bytes_per_second", limits.read.bytes_per_second},
            {"best_bytes_per_second", limits.read.best},
            {"buffer_bytes", limits.read.buffer_bytes},
            {"threads", limits.read.threads}}},
          {"product",
           {{"operations_per_second", limits.product.operations_per_second},
            {"size", limits.product.size}}}};
}

Json to_json(const OfflineResult& r) {
  return {{"test", r.test},
          {"streams", r.streams},
          {"tokens_per_second", r.tokens_per_second},
          {"deviation", r.deviation},
          {"samples", r.samples},
          {"bytes_per_second", r.bytes_per_second},
          {"bandwidth_share", r.bandwidth_share},
          {"operations_per_second", r.operations_per_second},
          {"operations_share", r.operations_share},
          {"step_seconds", r.step_seconds},
          {"longest_step_seconds", r.longest_step_seconds},
          {"queued_step_seconds", r.queued_step_seconds},
          {"gap_seconds", r.gap_seconds}};
}

}  // namespace

std::string to_markdown(const OfflineReport& report) {
  const BandwidthProbe& read = report.limits.read;
  const ProductPeak& product = report.limits.product;
  std::string text = fmt::format(
      "Measured here before the runs: {:.1f} GB/s read{}, {:.0f} GOP/s in a bf16 product of {}^3. "
      "Each share of bandwidth below is of probes beside its own runs.\n"
      "Loaded in {:.2f} s ({:.2f} s of it to make the weights{}).\n\n"
      "| model | weights | test | tokens/s | GB/s | of bandwidth | GOP/s | of product | step ms | "
      "gap ms |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n",
      read.bytes_per_second / 1e9,
      read.threads > 0 ? fmt::format(" with {} threads", read.threads) : "",
      product.operations_per_second / 1e9, product.size, report.load_seconds, report.source_seconds,
      report.drawn_on_device ? " on the device" : "");
  for (const OfflineResult& r : report.results) {
    text += fmt::format("| {} | {} | {} | {:.2f} ± {:.2f} |", report.model, report.weights, r.test,
                        r.tokens_per_second, r.deviation);
    text +=
        fmt::format(" {} | {} | {:.0f} | {} | {} | {} |\n",
                    r.bytes_per_second > 0 ? fmt::format("{:.1f}", r.bytes_per_second / 1e9) : "",
                    percent(r.bandwidth_share), r.operations_per_second / 1e9,
                    percent(r.operations_share), milliseconds(r.step_seconds),
                    r.step_seconds > 0 ? fmt::format("{:.3f}", 1e3 * r.gap_seconds) : "");
  }
  return text;
}

std::string to_json(const OfflineReport& report) {
  Json out;
  out["version"] = report.version;
  out["device"] = {{"kind", report.device.kind},
                   {"name", report.device.name},
                   {"memory_total", report.device.memory_total},
                   {"memory_free", report.device.memory_free}};
  out["model"] = report.model;
  out["weights"] = report.weights;
  out["weight_bytes"] = report.weight_bytes;
  out["step_weight_bytes"] = report.step_weight_bytes;
  out["load"] = {{"seconds", report.load_seconds},
                 {"source_seconds", report.source_seconds},
                 {"drawn_on_device", report.drawn_on_device}};
  out["limits"] = to_json(report.limits);
  out["options"] = {{"depth", report.options.depth},
                    {"repetitions", report.options.repetitions},
                    {"prefill_step_tokens", report.options.step_tokens},
                    {"kv_bits", report.options.kv_quant.bits},
                    {"kv_group_size", report.options.kv_quant.group}};
  out["results"] = Json::array();
  for (const OfflineResult& r : report.results) out["results"].push_back(to_json(r));
  return out.dump(2) + "\n";
}

}  // namespace mica

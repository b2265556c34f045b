#include "bench/statistics/goodput.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "bench/statistics/metric.h"

namespace mica {
namespace {

constexpr LimitPreset kPresets[] = {
    {"llama-3.1-8b", 2000, 100},   {"llama-3.1-8b-interactive", 500, 30},
    {"llama-2-70b", 2000, 200},    {"llama-2-70b-interactive", 450, 40},
    {"llama-3.1-405b", 6000, 175}, {"llama-3.1-405b-interactive", 4500, 80},
    {"deepseek-r1", 2000, 80},     {"deepseek-r1-interactive", 1500, 15},
    {"gpt-oss-120b", 3000, 80},    {"gpt-oss-120b-interactive", 2000, 20},
};

[[noreturn]] void wrong(std::string_view text) {
  std::string names;
  for (const LimitPreset& preset : kPresets)
    names += std::string(names.empty() ? "" : ", ") + preset.name;
  throw Error(ErrorKind::kUsage,
              "limits: expected ttft:MS, tpot:MS and e2e:MS with ',' between them, or one of {}; "
              "found '{}'",
              names, text);
}

void set_limit(std::string_view part, std::string_view text, LatencyLimits& limits) {
  const size_t colon = part.find(':');
  if (colon == std::string_view::npos) wrong(text);
  const std::string_view key = part.substr(0, colon), number = part.substr(colon + 1);
  double ms = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), ms);
  if (error != std::errc{} || end != number.data() + number.size() || !(ms > 0) || ms > 1e9)
    wrong(text);
  if (key == "ttft")
    limits.ttft = ms / 1e3;
  else if (key == "tpot")
    limits.tpot = ms / 1e3;
  else if (key == "e2e" || key == "e2el")
    limits.e2e = ms / 1e3;
  else
    wrong(text);
}

// 0 where the record has no such figure.
double value_or_zero(const char* metric, const RequestSample& record) {
  return value_of(metric, record).value_or(0);
}

bool keeps_most(std::span<const RequestSample* const> finished, const char* metric,
                std::optional<double> limit) {
  if (!limit) return true;
  const auto within = std::count_if(finished.begin(), finished.end(), [&](const auto* record) {
    return value_or_zero(metric, *record) <= *limit;
  });
  return static_cast<double>(within) >= 0.99 * static_cast<double>(finished.size());
}

}  // namespace

std::span<const LimitPreset> limit_presets() {
  return kPresets;
}

LatencyLimits parse_limits(std::string_view text) {
  LatencyLimits limits;
  for (const LimitPreset& preset : kPresets) {
    if (text != preset.name) continue;
    return {.name = preset.name, .ttft = preset.ttft_ms / 1e3, .tpot = preset.tpot_ms / 1e3};
  }
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find_first_of(", "), rest.size());
    if (end > 0) set_limit(rest.substr(0, end), text, limits);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (!limits.any()) wrong(text);
  return limits;
}

std::string to_string(const LatencyLimits& limits) {
  std::string text;
  const auto add = [&](const char* name, std::optional<double> seconds) {
    if (seconds)
      text += fmt::format("{}{} {:g} ms", text.empty() ? "" : ", ", name, *seconds * 1e3);
  };
  add("ttft", limits.ttft);
  add("tpot", limits.tpot);
  add("e2e", limits.e2e);
  return limits.name.empty() ? text : limits.name + " (" + text + ")";
}

std::string to_flag(const LatencyLimits& limits) {
  if (!limits.name.empty()) return limits.name;
  std::string text;
  const auto add = [&](const char* name, std::optional<double> seconds) {
    if (seconds) text += fmt::format("{}{}:{}", text.empty() ? "" : ",", name, *seconds * 1e3);
  };
  add("ttft", limits.ttft);
  add("tpot", limits.tpot);
  add("e2e", limits.e2e);
  return text;
}

bool is_good(const RequestSample& record, const LatencyLimits& limits) {
  if (!record.ok()) return false;
  return (!limits.ttft || value_or_zero("ttft", record) <= *limits.ttft) &&
         (!limits.tpot || value_or_zero("tpot", record) <= *limits.tpot) &&
         (!limits.e2e || value_or_zero("e2e", record) <= *limits.e2e);
}

Goodput measure_goodput(std::span<const RequestSample> records, const LatencyLimits& limits,
                        double duration) {
  Goodput out;
  out.limits = limits;
  std::vector<const RequestSample*> finished;
  int64_t count = 0;
  for (const RequestSample& record : records) {
    if (record.warmup) continue;
    ++count;
    out.good += is_good(record, limits);
    if (record.ok()) finished.push_back(&record);
  }
  if (duration > 0) out.rate = static_cast<double>(out.good) / duration;
  if (count > 0) out.share = static_cast<double>(out.good) / static_cast<double>(count);
  out.met = count > 0 && static_cast<int64_t>(finished.size()) == count &&
            keeps_most(finished, "ttft", limits.ttft) &&
            keeps_most(finished, "tpot", limits.tpot) && keeps_most(finished, "e2e", limits.e2e);
  return out;
}

}  // namespace mica

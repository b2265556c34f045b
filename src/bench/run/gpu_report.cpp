#include "bench/run/gpu_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "ops/cuda/probe/facts.h"

namespace mica {
namespace {

using Reading = std::optional<double> (*)(const GpuReading&);

template <typename T>
std::optional<double> as_double(const std::optional<T>& value) {
  return value ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
}

struct Column {
  const char* name;
  const char* unit;
  Reading read;
};

constexpr Column kColumns[] = {
    {"power", "W", [](const GpuReading& gpu) { return gpu.power; }},
    {"busy", "%", [](const GpuReading& gpu) { return as_double(gpu.busy); }},
    {"memory", "MiB", [](const GpuReading& gpu) { return as_double(gpu.memory_used); }},
    {"own_memory", "MiB", [](const GpuReading& gpu) { return as_double(gpu.own_memory); }},
    {"sm_clock", "MHz", [](const GpuReading& gpu) { return as_double(gpu.sm_clock); }},
    {"temperature", "°C", [](const GpuReading& gpu) { return as_double(gpu.temperature); }},
    {"slowdown", "bits", [](const GpuReading& gpu) { return as_double(gpu.slowdown); }},
};

// "gpu0.power" and so on, of what was told at all.
std::vector<SeriesRecord> gpu_series(const std::vector<GpuSample>& samples, double epoch,
                                     const std::string& source) {
  std::map<std::string, SeriesRecord> series;
  for (const GpuSample& sample : samples)
    for (const GpuReading& gpu : sample.gpus)
      for (const Column& column : kColumns) {
        const std::optional<double> value = column.read(gpu);
        if (!value) continue;
        SeriesRecord& record = series[fmt::format("gpu{}.{}", gpu.index, column.name)];
        record.unit = column.unit;
        record.times.push_back(sample.time - epoch);
        record.values.push_back(*value);
      }
  std::vector<SeriesRecord> out;
  for (auto& [name, record] : series) {
    record.name = name;
    record.source = source;
    out.push_back(std::move(record));
  }
  return out;
}

// Processors that the engine kept busy, between each two samples.
SeriesRecord host_series(const std::vector<GpuSample>& samples, double epoch) {
  SeriesRecord out{.name = "engine.cpus", .unit = "CPUs", .source = "/proc"};
  for (size_t i = 1; i < samples.size(); ++i) {
    const double time = samples[i].time - samples[i - 1].time;
    const double busy = samples[i].host.cpu_seconds - samples[i - 1].host.cpu_seconds;
    if (time <= 0 || busy < 0) continue;  // a process of it has ended
    out.times.push_back(samples[i].time - epoch);
    out.values.push_back(busy / time);
  }
  return out;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += (out.empty() ? "" : "; ") + line;
  return out;
}

Mark verdict_mark(const GpuVerdict& verdict) {
  Mark mark;
  mark.code = std::string("gpu_") + name(verdict.kind);
  mark.text = verdict.summary;
  if (!verdict.evidence.empty()) mark.text += ": " + joined(verdict.evidence);
  switch (verdict.kind) {
    case GpuVerdictKind::kNotOnGpu:
    case GpuVerdictKind::kPartialOffload:
    case GpuVerdictKind::kOneGpuIdle: mark.severity = Severity::kInvalid; break;
    case GpuVerdictKind::kCannotTell: mark.severity = Severity::kWarning; break;
    default: mark.severity = Severity::kNote;
  }
  return mark;
}

// Those on which the engine's processes hold memory, where they are told from others; else those
// that it was given. Nothing: not known.
std::optional<std::vector<int>> used_gpus(const GpuSpan& span, const GpuPlan& plan) {
  std::set<int> used;
  bool told = false;
  for (const GpuSample& sample : span.samples) {
    if (sample.time < span.begin) continue;  // behind its end as well: a load may be short
    for (const GpuReading& gpu : sample.gpus) {
      told |= gpu.own_memory.has_value();
      if (gpu.own_memory.value_or(0) >= kUsedGpuMib) used.insert(gpu.index);
    }
  }
  if (!used.empty()) return std::vector<int>(used.begin(), used.end());
  const GpuVerdictKind kind = span.verdict.kind;
  if (kind == GpuVerdictKind::kNoGpuExpected || (told && kind == GpuVerdictKind::kNotOnGpu))
    return std::vector<int>();
  if (plan.gpus.empty()) return std::nullopt;
  return plan.gpus;
}

GpuUseRecord use_record(const GpuSummary& gpu) {
  const int64_t reasons = gpu.slowdown & ~gpu::kSlowdownReasons[0].bit;
  return {.index = gpu.index,
          .name = gpu.name,
          .peak_memory = gpu.peak_memory,
          .peak_own_memory = gpu.peak_own_memory,
          .mean_busy = gpu.mean_busy,
          .mean_power = gpu.mean_power,
          .mean_temperature = gpu.mean_temperature,
          .max_temperature = gpu.max_temperature,
          .min_sm_clock = gpu.min_sm_clock,
          .max_sm_clock = gpu.max_sm_clock,
          .slowdown = reasons != 0 ? gpu::slowdown_text(reasons) : "",
          .slowed = gpu.slowed};
}

std::string harmful_text(int64_t bits) {
  int64_t harmful = 0;
  for (const gpu::SlowdownReason& reason : gpu::kSlowdownReasons)
    if (reason.harmful) harmful |= bits & reason.bit;
  return gpu::slowdown_text(harmful);
}

std::string gib(double bytes) {
  return fmt::format("{:.1f} GiB", bytes / (1 << 30));
}

// How good the estimate was, of the engine's own memory at its peak.
void compare_with_estimate(RunWriter& writer, const std::vector<GpuSummary>& gpus,
                           const GpuPlan& plan) {
  int64_t seen = 0;  // MiB
  for (const GpuSummary& gpu : gpus) seen += gpu.peak_own_memory;
  if (plan.estimated == 0 || seen == 0) return;
  std::string text =
      fmt::format("memory: estimated {}, seen {}", gib(static_cast<double>(plan.estimated)),
                  gib(static_cast<double>(seen) * (1 << 20)));
  if (plan.reserved > 0)
    text += fmt::format("; it takes {:.0f} % of the memory whatever it needs", 100 * plan.reserved);
  writer.add(Mark{Severity::kNote, "memory_estimate", text});
}

}  // namespace

void add_gpu_report(RunWriter& writer, const GpuSpan& span, const GpuPlan& plan) {
  std::vector<GpuSample> samples;
  for (const GpuSample& sample : span.samples)
    if (sample.time >= span.begin && sample.time <= span.end) samples.push_back(sample);
  for (const SeriesRecord& series : gpu_series(samples, span.epoch, span.source))
    writer.add_telemetry(series);
  if (const SeriesRecord host = host_series(samples, span.epoch); !host.values.empty())
    writer.add_telemetry(host);

  const std::optional<std::vector<int>> used = used_gpus(span, plan);
  Provenance provenance = writer.run().provenance;
  provenance.gpus_used = used;
  writer.set(provenance);
  const bool none = used && used->empty();
  if (!none)
    if (const auto joules =
            energy_joules(span.samples, span.begin, span.end, used.value_or(std::vector<int>())))
      writer.add_telemetry(
          {.name = "energy", .unit = "J", .source = span.source, .times = {}, .values = {*joules}});

  writer.add(verdict_mark(span.verdict));
  const std::vector<GpuSummary> gpus = summarise(span.samples, span.begin, span.end);
  for (const GpuSummary& gpu : gpus) {
    writer.add(use_record(gpu));
    const bool counts = !used || std::find(used->begin(), used->end(), gpu.index) != used->end();
    if (counts && gpu.slowed > 0)
      writer.add(Mark{Severity::kWarning, "throttled",
                      fmt::format("GPU {} slowed down in {:.0f} % of the samples: {}", gpu.index,
                                  100 * gpu.slowed, harmful_text(gpu.slowdown))});
  }
  compare_with_estimate(writer, gpus, plan);
}

void add_gpu_report(RunWriter& writer, RunningEngine& engine, const GpuPlan& plan,
                    std::chrono::steady_clock::time_point epoch, double begin, double end) {
  GpuSpan span;
  span.epoch = std::chrono::duration<double>(epoch.time_since_epoch()).count();
  span.begin = span.epoch + begin;
  span.end = span.epoch + end;
  span.verdict = engine.verdict(span.begin);
  span.samples = engine.gpu().samples();
  span.source = engine.gpu().source();
  add_gpu_report(writer, span, plan);
}

}  // namespace mica

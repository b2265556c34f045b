#include "bench/run/gpu_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

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

}  // namespace

void add_gpu_report(RunWriter& writer, RunningEngine& engine,
                    std::chrono::steady_clock::time_point epoch, double begin, double end) {
  const double zero = std::chrono::duration<double>(epoch.time_since_epoch()).count();
  std::vector<GpuSample> samples = engine.gpu().samples_since(zero + begin);
  std::erase_if(samples, [&](const GpuSample& sample) { return sample.time > zero + end; });
  const std::string source = engine.gpu().source();
  for (const SeriesRecord& series : gpu_series(samples, zero, source)) writer.add_telemetry(series);
  if (const SeriesRecord host = host_series(samples, zero); !host.values.empty())
    writer.add_telemetry(host);
  if (const auto joules = energy_joules(engine.gpu().samples(), zero + begin, zero + end))
    writer.add_telemetry({.name = "energy", .unit = "J", .source = source, .values = {*joules}});
  writer.add(verdict_mark(engine.verdict(zero + begin)));
}

}  // namespace mica

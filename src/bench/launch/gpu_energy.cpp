// Figures of a span of samples.
#include <algorithm>
#include <map>
#include <set>

#include "bench/launch/gpu_samples.h"
#include "ops/cuda/probe/facts.h"

namespace mica {
namespace {

constexpr double kEdge =
    1.5;  // seconds beyond the first and last sample for which they still count

struct Point {
  double time, value;
};

// Between the points by a straight line; outside, the nearest.
double value_at(const std::vector<Point>& points, double time) {
  if (time <= points.front().time) return points.front().value;
  if (time >= points.back().time) return points.back().value;
  const auto after =
      std::lower_bound(points.begin(), points.end(), time,
                       [](const Point& point, double wanted) { return point.time < wanted; });
  const auto before = after - 1;
  const double share = (time - before->time) / (after->time - before->time);
  return before->value + share * (after->value - before->value);
}

bool covers(const std::vector<Point>& points, double begin, double end, double edge) {
  return !points.empty() && points.front().time <= begin + edge && points.back().time >= end - edge;
}

double integral(const std::vector<Point>& points, double begin, double end) {
  double sum = 0;
  Point last{begin, value_at(points, begin)};
  const auto step = [&](const Point& next) {
    sum += (next.time - last.time) * (next.value + last.value) / 2;
    last = next;
  };
  for (const Point& point : points)
    if (point.time > begin && point.time < end) step(point);
  step({end, value_at(points, end)});
  return sum;
}

std::map<int, std::vector<Point>> points_of(const std::vector<GpuSample>& samples,
                                            std::optional<double> GpuReading::*member) {
  std::map<int, std::vector<Point>> points;
  for (const GpuSample& sample : samples)
    for (const GpuReading& reading : sample.gpus)
      if (reading.*member) points[reading.index].push_back({sample.time, *(reading.*member)});
  return points;
}

// Of what was told.
struct Mean {
  double sum = 0;
  int count = 0;
  template <typename Value>
  void add(const std::optional<Value>& reading) {
    if (!reading) return;
    sum += static_cast<double>(*reading);
    ++count;
  }
  double value() const { return count > 0 ? sum / count : 0; }
};

constexpr int64_t harmful_bits() {
  int64_t bits = 0;
  for (const gpu::SlowdownReason& reason : gpu::kSlowdownReasons)
    if (reason.harmful) bits |= reason.bit;
  return bits;
}
constexpr int64_t kHarmful = harmful_bits();

void add(GpuSummary& summary, const GpuReading& reading) {
  summary.index = reading.index;
  summary.name = reading.name;
  summary.peak_memory = std::max(summary.peak_memory, reading.memory_used.value_or(0));
  summary.peak_own_memory = std::max(summary.peak_own_memory, reading.own_memory.value_or(0));
  summary.max_temperature = std::max(summary.max_temperature, reading.temperature.value_or(0));
  const int clock = reading.sm_clock.value_or(0);
  if (clock > 0)
    summary.min_sm_clock =
        summary.min_sm_clock == 0 ? clock : std::min(summary.min_sm_clock, clock);
  summary.max_sm_clock = std::max(summary.max_sm_clock, clock);
  summary.slowdown |= reading.slowdown.value_or(0);
}

}  // namespace

std::optional<double> energy_joules(const std::vector<GpuSample>& samples, double begin, double end,
                                    const std::vector<int>& gpus) {
  if (end <= begin) return std::nullopt;
  const auto power = points_of(samples, &GpuReading::power);
  const auto counters = points_of(samples, &GpuReading::energy);
  std::set<int> indices;
  for (const auto& [index, points] : power) indices.insert(index);
  for (const auto& [index, points] : counters) indices.insert(index);
  double joules = 0;
  bool any = false;
  for (const int index : indices) {
    if (!gpus.empty() && std::find(gpus.begin(), gpus.end(), index) == gpus.end()) continue;
    const auto counter = counters.find(index), watts = power.find(index);
    const bool counted = counter != counters.end() && covers(counter->second, begin, end, 0);
    if (!counted && (watts == power.end() || !covers(watts->second, begin, end, kEdge)))
      return std::nullopt;
    joules += counted ? value_at(counter->second, end) - value_at(counter->second, begin)
                      : integral(watts->second, begin, end);
    any = true;
  }
  if (!any) return std::nullopt;
  return joules;
}

std::optional<double> joules_per_token(const std::vector<GpuSample>& samples, double begin,
                                       double end, int64_t tokens, const std::vector<int>& gpus) {
  const auto joules = energy_joules(samples, begin, end, gpus);
  if (!joules || tokens <= 0) return std::nullopt;
  return *joules / static_cast<double>(tokens);
}

std::vector<GpuSummary> summarise(const std::vector<GpuSample>& samples, double begin, double end) {
  struct Sums {
    GpuSummary summary;
    Mean busy, power, temperature, slowed;
  };
  std::map<int, Sums> sums;
  for (const GpuSample& sample : samples) {
    if (sample.time < begin || sample.time > end) continue;
    for (const GpuReading& reading : sample.gpus) {
      Sums& sum = sums[reading.index];
      add(sum.summary, reading);
      sum.busy.add(reading.busy);
      sum.power.add(reading.power);
      sum.temperature.add(reading.temperature);
      if (reading.slowdown) sum.slowed.add(std::optional((*reading.slowdown & kHarmful) ? 1 : 0));
    }
  }
  std::vector<GpuSummary> summaries;
  for (auto& [index, sum] : sums) {
    sum.summary.mean_busy = sum.busy.value();
    sum.summary.mean_power = sum.power.value();
    sum.summary.mean_temperature = sum.temperature.value();
    sum.summary.slowed = sum.slowed.value();
    summaries.push_back(sum.summary);
  }
  return summaries;
}

}  // namespace mica

#include "bench/statistics/run_summary.h"

#include <algorithm>
#include <map>

#include "bench/statistics/bootstrap.h"
#include "bench/statistics/metric.h"

namespace mica {
namespace {

constexpr double kNever = RequestRecord::kNever;
constexpr size_t kSlices = 20;

using Records = std::vector<const RequestRecord*>;

Records measured(std::span<const RequestRecord> records) {
  Records out;
  for (const RequestRecord& record : records)
    if (!record.warmup) out.push_back(&record);
  std::stable_sort(out.begin(), out.end(),
                   [](const auto* a, const auto* b) { return a->sent < b->sent; });
  return out;
}

// The time until which a request was of the run: its end, or the last that is known of it.
double end_of(const RequestRecord& r) {
  return std::max({r.ended, r.last_token, r.first_response, r.first_byte, r.sent});
}

void set_span(const Records& records, RunSummary& out) {
  double begin = kNever, end = kNever;
  for (const RequestRecord* record : records) {
    const double start = record->due != kNever ? record->due : record->sent;
    if (start == kNever) continue;
    begin = begin == kNever ? start : std::min(begin, start);
    end = std::max(end, end_of(*record));
  }
  if (begin == kNever) return;
  out.begin = begin;
  out.end = std::max(begin, end);
}

void count(const Records& records, RunSummary& out) {
  std::map<RequestStatus, int64_t> counts;
  for (const RequestRecord* record : records) {
    ++counts[record->status];
    if (!record->ok()) continue;
    ++out.finished;
    out.prompt_tokens += std::max<int64_t>(record->prompt_tokens, 0);
    out.output_tokens += record->output_tokens();
    out.cached_tokens += std::max<int64_t>(record->cached_tokens, 0);
  }
  out.requests = static_cast<int64_t>(records.size());
  for (const auto& [status, number] : counts) out.statuses.emplace_back(name(status), number);
}

double open_time(const Records& records) {
  double sum = 0;
  for (const RequestRecord* record : records)
    if (record->sent != kNever) sum += end_of(*record) - record->sent;
  return sum;
}

// A finished request's tokens lie evenly on its chunks with tokens; without any, at its end.
std::vector<double> slice_tokens(const Records& records, const RunSummary& out) {
  std::vector<double> slices(kSlices, 0);
  const double width = out.duration() / kSlices;
  const auto add = [&](double time, double tokens) {
    const double place = std::clamp((time - out.begin) / width, 0.0, kSlices - 1.0);
    slices[static_cast<size_t>(place)] += tokens / width;
  };
  for (const RequestRecord* record : records) {
    if (!record->ok()) continue;
    std::vector<double> times;
    for (const ChunkRecord& chunk : record->chunks)
      if (chunk.kind != ChunkKind::kRole && chunk.kind != ChunkKind::kUsage)
        times.push_back(chunk.time);
    if (times.empty()) times.push_back(end_of(*record));
    const double tokens =
        static_cast<double>(record->output_tokens()) / static_cast<double>(times.size());
    for (const double time : times) add(time, tokens);
  }
  return slices;
}

int64_t peak_of(const Records& records) {
  std::vector<std::pair<double, int>> events;
  for (const RequestRecord* record : records) {
    if (record->sent == kNever) continue;
    events.emplace_back(record->sent, 1);
    events.emplace_back(end_of(*record), -1);
  }
  std::sort(events.begin(), events.end());  // ends before beginnings
  int64_t open = 0, peak = 0;
  for (const auto& [time, change] : events) peak = std::max(peak, open += change);
  return peak;
}

void set_rates(const Records& records, RunSummary& out) {
  const double duration = out.duration();
  const auto per_second = [&](double sum) { return duration > 0 ? sum / duration : 0; };
  const auto of = [](int64_t number) { return static_cast<double>(number); };
  out.rates = {
      {"output_throughput", per_second(of(out.output_tokens))},
      {"total_throughput", per_second(of(out.prompt_tokens + out.output_tokens))},
      {"request_throughput", per_second(of(out.finished))},
      {"duration", duration},
      {"peak_concurrency", of(peak_of(records))},
      {"mean_concurrency", per_second(open_time(records))},
      {"error_rate", out.requests > 0 ? of(out.requests - out.finished) / of(out.requests) : 0},
  };
}

std::vector<double> values_of(const Records& records, const RequestMetric& metric) {
  std::vector<double> values;
  for (const RequestRecord* record : records)
    if (record->ok()) metric.append(*record, values);
  return values;
}

}  // namespace

std::optional<double> RunSummary::rate(std::string_view name) const {
  for (const auto& [key, value] : rates)
    if (key == name) return value;
  return std::nullopt;
}

const Distribution* RunSummary::figure(std::string_view name) const {
  for (const auto& [key, value] : figures)
    if (key == name) return &value;
  return nullptr;
}

RunSummary summarize(std::span<const RequestRecord> all, const SummaryOptions& options) {
  const Records records = measured(all);
  RunSummary out;
  out.warmup = static_cast<int64_t>(all.size() - records.size());
  set_span(records, out);
  count(records, out);
  set_rates(records, out);
  for (const RequestMetric& metric : request_metrics()) {
    const std::vector<double> values = values_of(records, metric);
    if (values.empty()) continue;
    const bool plain = metric.pooled || metric.better == Better::kNeither;
    out.figures.emplace_back(metric.name,
                             plain ? describe(values) : describe_samples(values, options.seed));
  }
  if (out.duration() > 0 && out.output_tokens > 0) {
    out.output_slices = slice_tokens(records, out);
    out.output_throughput_interval = bootstrap_mean(out.output_slices, {.seed = options.seed});
  }
  if (options.limits.any()) {
    out.goodput = measure_goodput(all, options.limits, out.duration());
    out.rates.emplace_back("goodput", out.goodput->rate);
  }
  return out;
}

std::vector<double> values_of(std::span<const RequestRecord> records, std::string_view metric) {
  return values_of(measured(records), *find_request_metric(metric));
}

int64_t peak_concurrency(std::span<const RequestRecord> records) {
  return peak_of(measured(records));
}

}  // namespace mica

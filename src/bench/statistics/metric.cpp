#include "bench/statistics/metric.h"

#include <algorithm>

namespace mica {
namespace {

using Record = RequestSample;
using Values = std::vector<double>;

bool happened(double time) {
  return time != Record::kNever;
}

bool is_token(const ChunkRecord& chunk) {
  return chunk.kind != ChunkKind::kRole && chunk.kind != ChunkKind::kUsage;
}

void span(double from, double to, Values& values) {
  if (happened(from) && happened(to)) values.push_back(to - from);
}

void delay(const Record& r, Values& values) {
  span(r.due, r.sent, values);
}
void ttfr(const Record& r, Values& values) {
  span(r.sent, r.first_response, values);
}
void ttft(const Record& r, Values& values) {
  span(r.sent, r.first_token, values);
}
void ttfo(const Record& r, Values& values) {
  span(r.sent, r.first_answer, values);
}
void e2e(const Record& r, Values& values) {
  span(r.sent, r.ended, values);
}

// Tokens that came several at a time, in one or two chunks: there is no time between them.
bool all_at_once(const Record& r) {
  const auto chunks = std::count_if(r.chunks.begin(), r.chunks.end(), is_token);
  return chunks > 0 && chunks <= 2 && r.output_tokens() > chunks;
}

void tpot(const Record& r, Values& values) {
  const int64_t tokens = r.output_tokens();
  if (all_at_once(r)) return;
  if (happened(r.first_token) && happened(r.ended) && tokens > 1)
    values.push_back((r.ended - r.first_token) / static_cast<double>(tokens - 1));
}

void itl(const Record& r, Values& values) {
  double last = Record::kNever;
  for (const ChunkRecord& chunk : r.chunks) {
    if (!is_token(chunk)) continue;
    span(last, chunk.time, values);
    last = chunk.time;
  }
}

void tokens_per_chunk(const Record& r, Values& values) {
  const auto chunks = std::count_if(r.chunks.begin(), r.chunks.end(), is_token);
  if (chunks > 0)
    values.push_back(static_cast<double>(r.output_tokens()) / static_cast<double>(chunks));
}

void decode_rate(const Record& r, Values& values) {
  const int64_t tokens = r.output_tokens();
  if (all_at_once(r)) return;
  if (happened(r.first_token) && r.last_token > r.first_token && tokens > 1)
    values.push_back(static_cast<double>(tokens - 1) / (r.last_token - r.first_token));
}

void prefill_rate(const Record& r, Values& values) {
  if (r.prompt_tokens == Record::kUnknown || !happened(r.sent) || r.first_token <= r.sent) return;
  const int64_t computed = r.prompt_tokens - std::max<int64_t>(r.cached_tokens, 0);
  values.push_back(static_cast<double>(computed) / (r.first_token - r.sent));
}

void output_tokens(const Record& r, Values& values) {
  values.push_back(static_cast<double>(r.output_tokens()));
}

void prompt_tokens(const Record& r, Values& values) {
  if (r.prompt_tokens != Record::kUnknown) values.push_back(static_cast<double>(r.prompt_tokens));
}

constexpr RequestMetric kRequestMetrics[] = {
    {"ttft", "TTFT", "s", Better::kLower,
     "Time to first token: from the request's first byte sent to the first text, reasoning or tool "
     "call received. A chunk that only names the role does not count.",
     ttft, false},
    {"ttfr", "TTFR", "s", Better::kLower,
     "Time to first response: to the first chunk of any kind, also one that only names the role.",
     ttfr, false},
    {"ttfo", "TTFO", "s", Better::kLower,
     "Time to first output: to the first text of the answer, behind the reasoning.", ttfo, false},
    {"tpot", "TPOT", "s", Better::kLower,
     "Time per output token: (E2E - TTFT) / (n - 1) of a request with n > 1 output tokens. Not "
     "told "
     "where several tokens came in one or two chunks.",
     tpot, false},
    {"itl", "ITL", "s", Better::kLower,
     "Inter-token latency: the gap between two chunks with tokens; the gaps of all requests in one "
     "pool. A chunk may hold several tokens: see tokens per chunk.",
     itl, true},
    {"e2e", "E2E", "s", Better::kLower,
     "End-to-end latency: from the request's first byte sent to the end of the answer.", e2e,
     false},
    {"decode_rate", "decode tok/s", "tok/s", Better::kHigher,
     "Decode rate of one request: (n - 1) / (time of the last token - time of the first).",
     decode_rate, false},
    {"prefill_rate", "prefill tok/s", "tok/s", Better::kHigher,
     "Prefill rate of one request: prompt tokens that were not cached / TTFT. Waiting and "
     "transport "
     "count, so the engine is at least as fast.",
     prefill_rate, false},
    {"tokens_per_chunk", "tokens/chunk", "tok", Better::kNeither,
     "Output tokens / chunks with tokens, of one request.", tokens_per_chunk, false},
    {"delay", "send delay", "s", Better::kNeither,
     "Of open loops: from the time at which a request was due to its sending. Time in it is not "
     "part of the latencies.",
     delay, false},
    {"prompt_tokens", "prompt tokens", "tok", Better::kNeither,
     "Tokens of the prompt, as the server's usage says.", prompt_tokens, false},
    {"output_tokens", "output tokens", "tok", Better::kNeither,
     "Tokens of the answer, reasoning included: the server's usage, else what the model's "
     "tokenizer "
     "counts, else one for each chunk.",
     output_tokens, false},
};

constexpr RunMetric kRunMetrics[] = {
    {"output_throughput", "output tok/s", "tok/s", Better::kHigher,
     "Output tokens of all finished requests / duration."},
    {"total_throughput", "total tok/s", "tok/s", Better::kHigher,
     "Prompt and output tokens of all finished requests / duration."},
    {"request_throughput", "requests/s", "1/s", Better::kHigher, "Finished requests / duration."},
    {"duration", "duration", "s", Better::kNeither,
     "From the first request sent (or due) to the end of the last; warm-up is before it."},
    {"peak_concurrency", "peak concurrency", "", Better::kNeither,
     "The most requests that were open at one moment."},
    {"mean_concurrency", "mean concurrency", "", Better::kNeither,
     "Sum of the times for which requests were open / duration."},
    {"error_rate", "error rate", "", Better::kLower, "Requests that did not finish / requests."},
    {"goodput", "goodput", "1/s", Better::kHigher,
     "Finished requests within all given limits / duration. TPOT counts as 0 where it "
     "is not told."},
};

constexpr const char* kMethodNotes[] = {
    "Percentiles are linearly interpolated between the two nearest values (numpy's default).",
    "Deviation is the sample's (n - 1); CV is deviation / mean.",
    "Intervals are 95 % bootstrap percentile intervals over requests, with a fixed seed; of "
    "throughput over 20 equal slices of the run's time. They say how a run of the same kind would "
    "vary, not how another start of the engine would.",
    "Drift: Mann-Kendall trend test over the requests in order, p < 0.01, and a Theil-Sen "
    "change of more than 2 % from the first to the last.",
    "Outliers: more than 3.5 scaled median absolute deviations and 5 % from the median. They are "
    "flagged, not removed.",
    "Only requests that finished count for latencies; warm-up never counts.",
};

template <typename Table>
auto find_in(const Table& table, std::string_view name) {
  const auto found = std::find_if(std::begin(table), std::end(table),
                                  [&](const auto& metric) { return metric.name == name; });
  return found == std::end(table) ? nullptr : &*found;
}

}  // namespace

std::span<const RequestMetric> request_metrics() {
  return kRequestMetrics;
}

const RequestMetric* find_request_metric(std::string_view name) {
  return find_in(kRequestMetrics, name);
}

std::span<const RunMetric> run_metrics() {
  return kRunMetrics;
}

const RunMetric* find_run_metric(std::string_view name) {
  return find_in(kRunMetrics, name);
}

std::optional<double> value_of(const RequestMetric& metric, const RequestSample& record) {
  std::vector<double> values;
  metric.append(record, values);
  return values.size() == 1 ? std::optional(values[0]) : std::nullopt;
}

std::span<const char* const> method_notes() {
  return kMethodNotes;
}

}  // namespace mica

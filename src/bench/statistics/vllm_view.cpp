#include "bench/statistics/vllm_view.h"

#include <algorithm>
#include <cmath>

#include "bench/statistics/distribution.h"
#include "bench/statistics/run_summary.h"

namespace mica {
namespace {

struct Times {
  std::vector<double> messages;  // those with choices
  double sent = 0;
  int64_t tokens = 0;
  double ttft() const { return messages.front() - sent; }
  double e2el() const { return messages.back() - sent; }
  double tpot() const {  // 0: that tool's goodput takes it so
    return tokens > 1 ? (e2el() - ttft()) / static_cast<double>(tokens - 1) : 0;
  }
};

// Empty messages: the request counts as failed.
Times times_of(const RequestSample& record) {
  Times times;
  times.sent = record.sent;
  times.tokens = record.output_tokens();
  if (record.ok())
    for (const ChunkRecord& chunk : record.chunks)
      if (chunk.kind != ChunkKind::kUsage) times.messages.push_back(chunk.time);
  return times;
}

class View {
 public:
  std::map<std::string, double> out;

  // seconds in, milliseconds out
  void add(const std::string& name, const std::vector<double>& values) {
    const std::vector<double> none = {0};
    const std::vector<double>& shown = values.empty() ? none : values;
    const Distribution d = describe(shown);
    const double n = static_cast<double>(d.count);
    out["mean_" + name + "_ms"] = 1e3 * d.mean;
    out["median_" + name + "_ms"] = 1e3 * d.median;
    out["std_" + name + "_ms"] = 1e3 * d.deviation * std::sqrt((n - 1) / n);
    out["p90_" + name + "_ms"] = 1e3 * d.p90;
    out["p95_" + name + "_ms"] = 1e3 * d.p95;
    out["p99_" + name + "_ms"] = 1e3 * d.p99;
  }
};

double fullest_second(const std::vector<Times>& requests) {
  double first = requests.front().sent;
  for (const Times& times : requests) first = std::min(first, times.sent);
  std::map<int64_t, int64_t> seconds;
  int64_t most = 0;
  for (const Times& times : requests)
    for (const double time : times.messages)
      most = std::max(most, ++seconds[static_cast<int64_t>(time - first)]);
  return static_cast<double>(most);
}

int64_t most_open(std::span<const RequestSample> records) {
  std::vector<RequestSample> cut;  // to the last message
  for (const RequestSample& record : records) {
    const Times times = times_of(record);
    if (record.warmup || times.messages.empty()) continue;
    RequestSample& copy = cut.emplace_back();
    copy.sent = record.sent;
    copy.ended = times.messages.back();
  }
  return peak_concurrency(cut);
}

bool within(const Times& times, const LatencyLimits& limits) {
  return (!limits.ttft || times.ttft() <= *limits.ttft) &&
         (!limits.tpot || times.tpot() <= *limits.tpot) &&
         (!limits.e2e || times.e2el() <= *limits.e2e);
}

}  // namespace

std::map<std::string, double> vllm_view(std::span<const RequestSample> records, double duration,
                                        const LatencyLimits& limits) {
  std::vector<Times> requests;
  std::vector<double> ttfts, tpots, itls, e2els;
  double failed = 0, input = 0, output = 0, good = 0;
  for (const RequestSample& record : records) {
    if (record.warmup) continue;
    Times times = times_of(record);
    if (times.messages.empty()) {
      ++failed;
      continue;
    }
    ttfts.push_back(times.ttft());
    e2els.push_back(times.e2el());
    if (times.tokens > 1) tpots.push_back(times.tpot());
    for (size_t i = 1; i < times.messages.size(); ++i)
      itls.push_back(times.messages[i] - times.messages[i - 1]);
    input += static_cast<double>(std::max<int64_t>(record.prompt_tokens, 0));
    output += static_cast<double>(times.tokens);
    good += within(times, limits);
    requests.push_back(std::move(times));
  }
  View view;
  view.add("ttft", ttfts);
  view.add("tpot", tpots);
  view.add("itl", itls);
  view.add("e2el", e2els);
  const double completed = static_cast<double>(requests.size());
  view.out["completed"] = completed;
  view.out["failed"] = failed;
  view.out["total_input_tokens"] = input;
  view.out["total_output_tokens"] = output;
  view.out["request_throughput"] = completed / duration;
  view.out["output_throughput"] = output / duration;
  view.out["total_token_throughput"] = (input + output) / duration;
  if (limits.any()) view.out["request_goodput"] = good / duration;
  view.out["max_output_tokens_per_s"] = requests.empty() ? 0 : fullest_second(requests);
  view.out["max_concurrent_requests"] = static_cast<double>(most_open(records));
  return view.out;
}

}  // namespace mica

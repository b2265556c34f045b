#include "server/metrics.h"

#include <algorithm>

#include "base/error.h"

namespace mica {
namespace {

using Seconds = std::chrono::duration<double>;

// vLLM's bounds, so that its dashboards fit: first token, token, request, tokens.
constexpr double kFirstToken[] = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
                                  1,     2.5,   5,    7.5,  10,   20,   40,   80,  160,  640, 2560};
constexpr double kToken[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3,
                             0.4,   0.5,    0.75,  1,    2.5,   5,    10,    20,  40,   80};
constexpr double kRequest[] = {0.01, 0.05, 0.1, 0.3, 0.5, 0.8, 1,   1.5, 2,   2.5, 5,    10,
                               15,   20,   30,  40,  50,  60,  120, 240, 480, 960, 1920, 7680};
constexpr double kTokens[] = {1,    2,    5,    10,    20,    50,    100,    200,   500,
                              1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000};

double seconds(std::chrono::steady_clock::duration time) {
  return Seconds(time).count();
}

}  // namespace

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()),
      counts_(std::make_unique<std::atomic<uint64_t>[]>(bounds.size() + 1)) {
  MICA_CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::observe(double value) {
  const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  counts_[static_cast<size_t>(at)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

std::vector<uint64_t> Histogram::counts() const {
  std::vector<uint64_t> counts;
  for (size_t i = 0; i <= bounds_.size(); ++i)
    counts.push_back(counts_[i].load(std::memory_order_relaxed));
  return counts;
}

const char* name(AnswerEnd end) {
  switch (end) {
    case AnswerEnd::kStop: return "stop";
    case AnswerEnd::kLength: return "length";
    case AnswerEnd::kToolCalls: return "tool_calls";
    case AnswerEnd::kAbort: return "abort";
    case AnswerEnd::kTimeout: return "timeout";
    case AnswerEnd::kError: return "error";
  }
  return "";
}

ServerMetrics::ServerMetrics()
    : first_token_seconds(kFirstToken),
      inter_token_seconds(kToken),
      time_per_output_token_seconds(kToken),
      end_to_end_seconds(kRequest),
      queue_seconds(kRequest),
      prefill_seconds(kRequest),
      decode_seconds(kRequest),
      inference_seconds(kRequest),
      prompt_tokens(kTokens),
      generation_tokens(kTokens),
      requested_tokens(kTokens) {}

AnswerObserver::AnswerObserver(ServerMetrics* metrics, std::shared_ptr<Exchange> exchange,
                               int32_t max_tokens)
    : metrics_(metrics), exchange_(std::move(exchange)), max_tokens_(max_tokens) {
  ++exchange_->record().answers;
}

void AnswerObserver::on_started(const Event& event) {
  started_ = event.time;
  is_started_ = true;
  prompt_tokens_ = event.prompt_tokens;
  RequestRecord& record = exchange_->record();
  record.queue_seconds = std::max(record.queue_seconds, event.queue_seconds);
  record.prompt_tokens += event.prompt_tokens;
  record.cached_tokens += event.cached_tokens;
  if (metrics_) metrics_->queue_seconds.observe(event.queue_seconds);
}

void AnswerObserver::on_token(const Event& event) {
  const Clock::time_point now = event.time;
  RequestRecord& record = exchange_->record();
  ++record.completion_tokens;
  if (tokens_++ == 0) {
    first_token_ = now;
    const double first = seconds(now - record.arrived);
    if (record.first_token_seconds == 0) record.first_token_seconds = first;
    if (metrics_) metrics_->first_token_seconds.observe(first);
  } else if (metrics_) {
    metrics_->inter_token_seconds.observe(seconds(now - last_token_));
  }
  last_token_ = now;
}

void AnswerObserver::on_finished(AnswerEnd end) {
  if (finished_) return;
  finished_ = true;
  RequestRecord& record = exchange_->record();
  record.finish_reason = name(end);
  if (!metrics_) return;
  metrics_->ended[static_cast<size_t>(end)].fetch_add(1, std::memory_order_relaxed);
  metrics_->end_to_end_seconds.observe(seconds(Clock::now() - record.arrived));
  metrics_->requested_tokens.observe(max_tokens_);
  if (!is_started_) return;
  metrics_->prompt_tokens.observe(static_cast<double>(prompt_tokens_));
  metrics_->generation_tokens.observe(static_cast<double>(tokens_));
  if (tokens_ == 0) return;
  const double decode = seconds(last_token_ - first_token_);
  metrics_->prefill_seconds.observe(seconds(first_token_ - started_));
  metrics_->decode_seconds.observe(decode);
  metrics_->inference_seconds.observe(seconds(last_token_ - started_));
  if (tokens_ > 1)
    metrics_->time_per_output_token_seconds.observe(decode / static_cast<double>(tokens_ - 1));
}

}  // namespace mica

// What the server counts and measures of answers, for /metrics.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/request.h"
#include "server/http.h"

namespace mica {

// Counts of values up to each of a few bounds, and their sum. Any thread, no locks; a reader may
// see a value in the counts and not yet in the sum.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds);  // ascending
  void observe(double value);

  std::span<const double> bounds() const { return bounds_; }
  // Values up to bounds()[i] and above the bound before it; the last entry: above all bounds.
  std::vector<uint64_t> counts() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  const std::vector<double> bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

// How an answer ended, as the label finished_reason says it.
enum class AnswerEnd : uint8_t { kStop, kLength, kToolCalls, kAbort, kTimeout, kError };
inline constexpr size_t kAnswerEnds = 6;
const char* name(AnswerEnd end);  // "stop", "length", "tool_calls", "abort", "timeout", "error"

// Counters and histograms since start. Any thread.
struct ServerMetrics {
  ServerMetrics();

  std::array<std::atomic<uint64_t>, kAnswerEnds> ended{};
  Histogram first_token_seconds;  // from the request's arrival
  Histogram inter_token_seconds;
  Histogram time_per_output_token_seconds;  // per answer: its mean, without the first token
  Histogram end_to_end_seconds;
  Histogram queue_seconds;
  Histogram prefill_seconds;    // first step to first token
  Histogram decode_seconds;     // first token to last
  Histogram inference_seconds;  // first step to last token
  Histogram prompt_tokens;
  Histogram generation_tokens;
  Histogram requested_tokens;  // max_tokens
};

// What happens to one answer (a choice of a request), told by completion.cpp on the exchange's
// executor: started unless it ended in the queue, each token, the end. Once ended, calls do
// nothing; an answer that is dropped without an end was aborted. Fills the exchange's record too.
class AnswerObserver {
 public:
  // metrics may be null. max_tokens: of this answer.
  AnswerObserver(ServerMetrics* metrics, std::shared_ptr<Exchange> exchange, int32_t max_tokens);
  ~AnswerObserver() { on_finished(AnswerEnd::kAbort); }
  AnswerObserver(const AnswerObserver&) = delete;
  AnswerObserver& operator=(const AnswerObserver&) = delete;

  void on_started(const Event& event);
  void on_token(const Event& event);
  void on_finished(AnswerEnd end);

 private:
  using Clock = std::chrono::steady_clock;
  ServerMetrics* metrics_;
  std::shared_ptr<Exchange> exchange_;  // shared with the completion
  const int32_t max_tokens_;
  Clock::time_point started_, first_token_, last_token_;
  int64_t prompt_tokens_ = 0, tokens_ = 0;
  bool is_started_ = false, finished_ = false;
};

}  // namespace mica

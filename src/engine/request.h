// The two types through which everything above talks to the engine: a request and its events.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ops/sample/sample.h"

namespace mica {

struct Request {
  std::vector<int32_t> prompt;  // token ids, at least one
  SamplingParams sampling;
  int32_t max_tokens = 512;
  std::vector<int32_t> stop_token_ids;  // end of sequence and others: end the answer, are reported
  int32_t top_logprobs = 0;             // alternatives per token in the events
  bool use_prefix_cache = true;
  int32_t priority = 0;                  // lower runs earlier
  std::chrono::milliseconds timeout{0};  // from submission to the last token; 0 = none
};

enum class FinishReason : uint8_t { kStop, kLength, kCancelled, kTimeout, kError };
const char* name(FinishReason reason);  // "stop", "length", …

// What happened to a request, in order: kStarted (unless it ended in the queue), kToken…, then
// exactly one kFinished.
struct Event {
  enum class Kind : uint8_t { kStarted, kToken, kFinished } kind = Kind::kToken;
  SampleResult token;       // kToken
  bool stop_token = false;  // kToken: it is one of stop_token_ids, not part of the text
  FinishReason reason = FinishReason::kStop;  // kFinished
  std::string error;                          // kFinished with kError: what and why
  int32_t prompt_tokens = 0;                  // kStarted, kFinished
  int32_t cached_tokens = 0;      // kStarted, kFinished: prompt tokens taken from the prefix cache
  int32_t completion_tokens = 0;  // kFinished
  double queue_seconds = 0;       // kStarted: from submission to the first step
  double prefill_seconds = 0, decode_seconds = 0;  // kFinished
};

// The events of one request: pushed by the engine thread, taken by one consumer.
class EventStream {
 public:
  // Waits for the next event up to `timeout`; nullopt when none came.
  std::optional<Event> next(std::chrono::milliseconds timeout);
  std::optional<Event> try_next();
  // Called on the engine's thread after each push; must return quickly. Set before submission. The
  // consumer may have taken the event already, the last one too; `notify` is freed after that.
  void on_event(std::function<void()> notify) { notify_ = std::move(notify); }
  // The consumer wants no more: the engine ends the request within one step. So it does when the
  // consumer has dropped its stream.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  void push(Event event);  // engine only

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Event> events_;
  std::function<void()> notify_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace mica

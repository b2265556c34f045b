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
#include <span>
#include <string>
#include <vector>

#include "ops/sample/sample.h"

namespace mica {

// Limits which token comes next in one answer (grammars, thinking budgets). Called on the engine's
// thread only, for one request at a time; what it throws ends that request with kError.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // Sets bit t % 32 of word t / 32 for each allowed token t (`allowed` comes zeroed, (V + 31) / 32
  // words) and returns true; false: every token is allowed and `allowed` is not read. At least one
  // token must be allowed. Asking twice gives the same.
  virtual bool mask(std::span<uint32_t> allowed) = 0;
  virtual void accept(int32_t token) = 0;     // the token was taken (stop tokens too)
  virtual void rollback(int32_t tokens) = 0;  // takes the last accepted tokens back; 0 is fine
};

struct Request {
  std::vector<int32_t> prompt;  // token ids, at least one
  SamplingParams sampling;
  int32_t max_tokens = 512;
  std::vector<int32_t> stop_token_ids;  // end of sequence and others: end the answer, are reported
  int32_t top_logprobs = 0;             // alternatives per token in the events
  bool use_prefix_cache = true;
  int64_t adapter = 0;                          // id in EngineOptions::adapters; 0 = none
  std::shared_ptr<TokenConstraint> constraint;  // null: none
  // stop_token_ids are forbidden before so many tokens, unless the constraint leaves nothing else.
  int32_t min_tokens = 0;
  bool speculate = true;                 // false: this request never speculates
  int32_t priority = 0;                  // lower runs earlier
  std::chrono::milliseconds timeout{0};  // from submission to the last token; 0 = none
};

enum class FinishReason : uint8_t { kStop, kLength, kCancelled, kTimeout, kError };
const char* name(FinishReason reason);  // "stop", "length", …

// What happened to a request, in order: kStarted (unless it ended in the queue), kToken…, then
// exactly one kFinished.
struct Event {
  enum class Kind : uint8_t { kStarted, kToken, kFinished } kind = Kind::kToken;
  std::chrono::steady_clock::time_point time;  // when it happened
  SampleResult token;                          // kToken
  bool stop_token = false;  // kToken: it is one of stop_token_ids, not part of the text
  FinishReason reason = FinishReason::kStop;  // kFinished
  std::string error;                          // kFinished with kError: what and why
  int32_t prompt_tokens = 0;                  // kStarted, kFinished
  int32_t cached_tokens = 0;      // kStarted, kFinished: prompt tokens taken from the prefix cache
  int32_t completion_tokens = 0;  // kFinished
  // kFinished: tokens that were guessed for this request, and those of them that came true.
  int32_t draft_tokens = 0, accepted_draft_tokens = 0;
  // From submission to the first step (kStarted, kFinished), from there to the first token, from
  // there to the last, and from submission to the first token (0: none came). kFinished.
  double queue_seconds = 0;
  double prefill_seconds = 0, decode_seconds = 0, first_token_seconds = 0;
  int32_t preemptions = 0;  // kFinished: how often its blocks were taken and computed again
};

using EventCallback = std::function<void(Event::Kind)>;

// The events of one request: pushed by the engine thread, taken by one consumer.
class EventStream {
 public:
  // Waits for the next event up to `timeout`; nullopt when none came.
  std::optional<Event> next(std::chrono::milliseconds timeout);
  std::optional<Event> try_next();
  bool empty() const;
  // Called on the engine's thread after each push; must return quickly. Set before submission. The
  // consumer may have taken the event already, the last one too; `notify` is freed after that.
  void on_event(EventCallback notify) { notify_ = std::move(notify); }
  // The consumer wants no more: the engine ends the request within one step. So it does when the
  // consumer has dropped its stream.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  void push(Event event);  // engine only

 private:
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Event> events_;
  EventCallback notify_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace mica

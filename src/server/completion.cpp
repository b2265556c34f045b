#include "server/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "base/log.h"
#include "server/answer_text.h"
#include "server/limits.h"
#include "server/sse.h"

namespace mica {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLongestTimeout = std::chrono::hours(24 * 365);
// The engine ends late requests itself; so much later it is taken to be stuck.
constexpr std::chrono::seconds kGrace{5};

double milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

// One answer and its request in the engine.
struct Choice {
  Choice(const Tokenizer& tokenizer, const CompletionJob& job, uint64_t seed,
         std::unique_ptr<AnswerObserver> answer_observer)
      : observer(std::move(answer_observer)), text(tokenizer, job, seed) {}

  std::unique_ptr<AnswerObserver> observer;
  AnswerText text;
  std::shared_ptr<EventStream> events;  // shared with the engine; null once finished
  int32_t completion_tokens = 0, cached_tokens = 0;
  int32_t draft_tokens = 0, accepted_draft_tokens = 0;
  Clock::time_point started, first_token, last_token;
  Timings timings;
  double logprob_sum = 0;
  bool end_sent = false;

  AnswerChoice& answer() { return text.answer; }
  bool finished() const { return !text.answer.finish_reason.empty(); }
  // Of the answers to one prompt, the likeliest is the best.
  double mean_logprob() const { return logprob_sum / std::max(1, completion_tokens); }
};

class Completion : public std::enable_shared_from_this<Completion> {
 public:
  Completion(CompletionJob job, const ServedModel& model, std::shared_ptr<Exchange> exchange)
      : job_(std::move(job)), model_(model), exchange_(std::move(exchange)) {}

  void start();

 private:
  void submit(size_t prompt, int32_t choice);
  Request request_of(size_t prompt, int32_t choice) const;
  void notify(Event::Kind kind);
  void pump();
  bool take_events();
  bool has_events() const;
  void hold();
  void take(Choice& choice, const Event& event);
  void add_token(Choice& choice, const Event& event);
  void finish(Choice& choice, const char* reason, bool complete);
  std::vector<AnswerChoice> best_answers();
  void send(Choice& choice);
  void watch();
  void begin_stream();
  void answer();
  void fail(const ApiError& error);
  void cancel();
  Account account() const;

  CompletionJob job_;
  const ServedModel& model_;
  const std::shared_ptr<Exchange> exchange_;  // shared with the connection's other work
  std::vector<Choice> choices_;
  std::atomic<bool> notified_{false};
  Clock::time_point deadline_ = Clock::time_point::max();
  bool quiet_ = true;       // nothing was sent since the last look
  bool streaming_ = false;  // the head is out
  bool done_ = false;
};

void Completion::start() {
  if (!exchange_->open()) return;
  exchange_->on_closed([self = shared_from_this()] { self->cancel(); });
  exchange_->on_abort([self = shared_from_this()](const ApiError& error) {
    if (!self->done_) self->fail(error);
  });
  try {
    choices_.reserve(job_.prompts.size() * static_cast<size_t>(job_.best_of));
    for (size_t prompt = 0; prompt < job_.prompts.size(); ++prompt)
      for (int32_t choice = 0; choice < job_.best_of; ++choice) submit(prompt, choice);
  } catch (...) {
    return fail(current_error());
  }
  if (job_.timeout.count() > 0)
    deadline_ = Clock::now() + std::min(job_.timeout, kLongestTimeout) + kGrace;
  watch();
  pump();
}

Request Completion::request_of(size_t prompt, int32_t choice) const {
  Request request;
  request.prompt = job_.prompts[prompt];
  request.sampling = job_.sampling;
  request.sampling.seed += static_cast<uint64_t>(choice);
  const auto room = static_cast<int32_t>(static_cast<size_t>(model_.engine->max_context()) -
                                         request.prompt.size());
  request.max_tokens = std::min(job_.max_tokens, room);
  request.stop_token_ids = job_.stop_token_ids;
  const std::vector<int32_t>& ends = model_.text->end_ids();
  if (!job_.ignore_eos)
    request.stop_token_ids.insert(request.stop_token_ids.end(), ends.begin(), ends.end());
  request.use_prefix_cache = job_.use_prefix_cache;
  request.priority = job_.priority;
  request.min_tokens = job_.min_tokens;
  if (job_.constraint) request.constraint = job_.constraint();
  request.top_logprobs = job_.top_logprobs;
  request.timeout = job_.timeout;
  request.adapter = job_.adapter;
  return request;
}

void Completion::submit(size_t prompt, int32_t choice_of_prompt) {
  Choice& choice = choices_.emplace_back(
      model_.text->tokenizer(), job_, job_.sampling.seed + choices_.size(),
      std::make_unique<AnswerObserver>(model_.metrics, exchange_, job_.max_tokens));
  choice.answer().index = static_cast<int32_t>(choices_.size()) - 1;
  if (prompt < job_.scored_prompts.size()) choice.answer().prompt = job_.scored_prompts[prompt];
  if (prompt < job_.echoes.size()) choice.text.echo(job_.echoes[prompt]);
  if (job_.max_tokens == 0) return finish(choice, "length", /*complete=*/false);
  choice.events =
      model_.engine->submit(request_of(prompt, choice_of_prompt),
                            // Weak: an answer that nobody waits for is not kept by the engine.
                            [weak = weak_from_this()](Event::Kind kind) {
                              if (const auto self = weak.lock()) self->notify(kind);
                            });
  if (!choice.events)
    throw RequestError(
        ApiError{429, "too many requests are waiting; try again later", "", "queue_full", 1});
}

// On the engine's thread. While tokens are held back only an end is worth a look.
void Completion::notify(Event::Kind kind) {
  if (notified_.exchange(true) && kind != Event::Kind::kFinished) return;
  const auto exchange = exchange_;  // alive until `post` returns
  exchange->post([self = shared_from_this()] { self->pump(); });
}

// `notified_` stays true until all events are taken, so that the engine does not ask for more of
// this; what came meanwhile is seen by looking again.
void Completion::pump() {
  do {
    const bool tokens = take_events();
    if (done_) return;
    if (std::all_of(choices_.begin(), choices_.end(), [](const Choice& c) { return c.finished(); }))
      return answer();
    if (tokens && model_.defaults.stream_interval.count() > 0) return hold();
    notified_ = false;
  } while (has_events() && !notified_.exchange(true));
}

// Takes and sends what is there; whether there were tokens.
bool Completion::take_events() {
  bool tokens = false;
  for (Choice& choice : choices_) {
    while (!done_ && choice.events) {
      const auto event = choice.events->try_next();
      if (!event) break;
      tokens |= event->kind == Event::Kind::kToken;
      take(choice, *event);
    }
    if (done_) return tokens;
    if (job_.stream) send(choice);
  }
  return tokens;
}

bool Completion::has_events() const {
  return std::any_of(choices_.begin(), choices_.end(),
                     [](const Choice& c) { return c.events && !c.events->empty(); });
}

// Nobody reads faster than that, and a look at one token costs as much as a look at several.
void Completion::hold() {
  notified_ = true;
  exchange_->after(model_.defaults.stream_interval, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->done_) return;
    self->quiet_ = true;  // since then
    self->watch();
    self->pump();
  });
}

void Completion::take(Choice& choice, const Event& event) {
  if (event.kind == Event::Kind::kStarted) {
    choice.cached_tokens = event.cached_tokens;
    choice.started = event.time;
    choice.timings.queue_ms = event.queue_seconds * 1000;
    choice.observer->on_started(event);
  }
  if (event.kind == Event::Kind::kToken) return add_token(choice, event);
  if (event.kind != Event::Kind::kFinished) return;
  choice.timings.prompt_ms = event.prefill_seconds * 1000;
  choice.timings.predicted_ms = event.decode_seconds * 1000;
  choice.draft_tokens = event.draft_tokens;
  choice.accepted_draft_tokens = event.accepted_draft_tokens;
  switch (event.reason) {
    case FinishReason::kStop:
    case FinishReason::kLength:
      return finish(choice, name(event.reason), event.reason == FinishReason::kStop);
    case FinishReason::kCancelled: return fail({503, "the server is ending"});
    case FinishReason::kTimeout: return fail(too_late(job_.timeout));
    case FinishReason::kError: return fail({500, event.error});
  }
}

void Completion::add_token(Choice& choice, const Event& event) {
  choice.last_token = event.time;
  if (choice.completion_tokens++ == 0) choice.first_token = choice.last_token;
  choice.timings.prompt_ms = milliseconds(choice.first_token - choice.started);
  choice.timings.predicted_ms = milliseconds(choice.last_token - choice.first_token);
  choice.logprob_sum += static_cast<double>(event.token.logprob);
  choice.observer->on_token(event);
  if (event.stop_token) {
    const auto& asked = job_.stop_token_ids;
    if (std::find(asked.begin(), asked.end(), event.token.token) != asked.end())
      choice.answer().stop_token = event.token.token;
    if (job_.score_end) choice.text.add_end(event.token);
    return;
  }
  choice.text.add(event.token);
  if (choice.text.stopped()) finish(choice, "stop", /*complete=*/false);
}

void Completion::finish(Choice& choice, const char* reason, bool complete) {
  choice.text.finish(complete);
  if (choice.text.stopped()) reason = "stop";  // in the text that was held back
  if (std::string_view(reason) == "stop" && choice.text.calls() > 0) reason = "tool_calls";
  AnswerChoice& answer = choice.answer();
  answer.finish_reason = reason;
  if (!answer.warning.empty()) log_warning("[server] a model's answer: {}", answer.warning);
  choice.observer->on_finished(answer.finish_reason == "length"       ? AnswerEnd::kLength
                               : answer.finish_reason == "tool_calls" ? AnswerEnd::kToolCalls
                                                                      : AnswerEnd::kStop);
  if (choice.events) choice.events->cancel();
  choice.events = nullptr;
}

void Completion::begin_stream() {
  if (streaming_) return;
  streaming_ = true;
  HttpResponse head;
  head.content_type = kEventStream;
  head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  exchange_->begin_stream(std::move(head));
  exchange_->write(job_.format->begin(static_cast<int32_t>(choices_.size()), account()));
}

// What the choice has to say since the last call.
void Completion::send(Choice& choice) {
  AnswerChoice& news = choice.answer();
  if (choice.end_sent || (news.parts.empty() && !choice.finished())) return;
  quiet_ = false;
  begin_stream();
  std::string out;
  if (!news.parts.empty() || !news.tokens.empty() || !news.prompt.empty())
    out = job_.format->delta(news, account());
  news.parts.clear();
  news.prompt = {};
  news.tokens.clear();
  news.ids.clear();
  if (choice.finished()) out += job_.format->finish(news, account());
  choice.end_sent = choice.finished();
  if (!out.empty()) exchange_->write(out);
}

// Streams show that they live; and a request ends in time even if the engine does not come back.
void Completion::watch() {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
  const std::chrono::milliseconds delay = std::clamp(
      left, std::chrono::milliseconds(1), std::chrono::milliseconds(limits::kKeepaliveInterval));
  exchange_->after(delay, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->done_) return;
    if (Clock::now() >= self->deadline_) return self->fail(too_late(self->job_.timeout));
    if (self->job_.stream && self->quiet_) {
      self->begin_stream();
      self->exchange_->write(self->job_.format->keepalive());
    }
    self->quiet_ = true;
    self->watch();
  });
}

void Completion::answer() {
  done_ = true;
  if (job_.stream) {
    begin_stream();
    exchange_->write(job_.format->end(account()));
    exchange_->end_stream(/*complete=*/true);
    return;
  }
  HttpResponse response;
  response.body = job_.format->whole(best_answers(), account());
  exchange_->respond(std::move(response));
}

// All answers, or of each prompt the best ones, the best first.
std::vector<AnswerChoice> Completion::best_answers() {
  std::vector<AnswerChoice> answers;
  const auto each = static_cast<size_t>(job_.best_of);
  for (size_t begin = 0; begin < choices_.size(); begin += each) {
    std::vector<Choice*> candidates;
    for (size_t i = begin; i < begin + each; ++i) candidates.push_back(&choices_[i]);
    if (job_.best_of > job_.choices)
      std::stable_sort(candidates.begin(), candidates.end(), [](const Choice* a, const Choice* b) {
        return a->mean_logprob() > b->mean_logprob();
      });
    candidates.resize(static_cast<size_t>(job_.choices));
    for (Choice* choice : candidates) {
      answers.push_back(std::move(choice->answer()));
      answers.back().index = static_cast<int32_t>(answers.size()) - 1;
    }
  }
  return answers;
}

void Completion::fail(const ApiError& error) {
  for (Choice& choice : choices_)
    choice.observer->on_finished(error.status == 504 ? AnswerEnd::kTimeout : AnswerEnd::kError);
  cancel();
  if (streaming_) {
    exchange_->write(job_.format->stream_error(error));
    exchange_->end_stream(/*complete=*/false);
  } else {
    exchange_->respond(job_.format->error(error));
  }
}

void Completion::cancel() {
  done_ = true;
  for (Choice& choice : choices_) {
    choice.observer->on_finished(AnswerEnd::kAbort);
    if (choice.events) choice.events->cancel();
    choice.events = nullptr;
  }
}

Account Completion::account() const {
  Account account;
  Usage& usage = account.usage;
  for (const auto& prompt : job_.prompts)
    usage.prompt_tokens += static_cast<int64_t>(prompt.size());
  for (size_t i = 0; i < choices_.size(); ++i) {
    const Choice& choice = choices_[i];
    usage.completion_tokens += choice.completion_tokens;
    usage.reasoning_tokens += choice.text.reasoning_tokens();
    usage.draft_tokens += choice.draft_tokens;
    usage.accepted_draft_tokens += choice.accepted_draft_tokens;
    // The prompt counts once, however many answers it has.
    if (i % static_cast<size_t>(job_.best_of) == 0) usage.cached_tokens += choice.cached_tokens;
    Timings& longest = account.timings;
    longest.queue_ms = std::max(longest.queue_ms, choice.timings.queue_ms);
    longest.prompt_ms = std::max(longest.prompt_ms, choice.timings.prompt_ms);
    longest.predicted_ms = std::max(longest.predicted_ms, choice.timings.predicted_ms);
  }
  return account;
}

}  // namespace

void check_prompts(const CompletionJob& job, const ServedModel& model) {
  const auto context = static_cast<size_t>(model.engine->max_context());
  for (const auto& prompt : job.prompts) {
    if (prompt.empty()) throw RequestError("prompt", "prompt: it has no tokens");
    if (prompt.size() >= context)
      throw RequestError(
          ApiError{400,
                   fmt::format("This model's maximum context length is {} tokens. However, your "
                               "prompt has {} tokens.",
                               context, prompt.size()),
                   "prompt", "context_length_exceeded"});
  }
}

void start_completion(CompletionJob job, const ServedModel& model,
                      std::shared_ptr<Exchange> exchange) {
  std::make_shared<Completion>(std::move(job), model, std::move(exchange))->start();
}

}  // namespace mica

#include "server/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>

#include "server/limits.h"
#include "server/sse.h"
#include "server/stop_matcher.h"

namespace mica {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLongestTimeout = std::chrono::hours(24 * 365);
// The engine ends late requests itself; so much later it is taken to be stuck.
constexpr std::chrono::seconds kGrace{5};

size_t code_points(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// One answer on its way.
struct Choice {
  Choice(const Tokenizer& tokenizer, const std::vector<std::string>& stops,
         std::unique_ptr<AnswerObserver> answer_observer)
      : observer(std::move(answer_observer)), detokenizer(tokenizer), matcher(stops) {}

  std::unique_ptr<AnswerObserver> observer;
  AnswerChoice answer;  // its text and tokens so far: not yet sent, if the answer is streamed
  std::shared_ptr<EventStream> events;  // shared with the engine; null once finished
  StreamingDetokenizer detokenizer;
  StopMatcher matcher;
  std::vector<ScoredToken> held_tokens;  // their text is not out yet
  size_t decoded = 0, released = 0;      // code points: out of the detokenizer, the matcher
  int32_t completion_tokens = 0, cached_tokens = 0;

  bool end_sent = false;

  bool finished() const { return !answer.finish_reason.empty(); }
};

class Completion : public std::enable_shared_from_this<Completion> {
 public:
  Completion(CompletionJob job, const ServedModel& model, std::shared_ptr<Exchange> exchange)
      : job_(std::move(job)), model_(model), exchange_(std::move(exchange)) {}

  void start();

 private:
  void submit(size_t prompt, int32_t choice);
  Request request_of(size_t prompt, int32_t choice) const;
  void notify();
  void pump();
  void take(Choice& choice, const Event& event);
  void add_token(Choice& choice, const Event& event);
  void add_text(Choice& choice, const std::string& piece);
  void release(Choice& choice, const std::string& text);
  void finish(Choice& choice, const char* reason);
  void send(Choice& choice);
  void watch();
  ApiError too_late() const;
  void begin_stream();
  void answer();
  void fail(const ApiError& error);
  void cancel();
  Usage usage() const;

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
    choices_.reserve(job_.prompts.size() * static_cast<size_t>(job_.choices));
    for (size_t prompt = 0; prompt < job_.prompts.size(); ++prompt)
      for (int32_t choice = 0; choice < job_.choices; ++choice) submit(prompt, choice);
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
  request.stop_token_ids = model_.text->end_ids();
  request.top_logprobs = job_.top_logprobs;
  request.timeout = job_.timeout;
  request.adapter = job_.adapter;
  return request;
}

void Completion::submit(size_t prompt, int32_t choice_of_prompt) {
  Choice& choice = choices_.emplace_back(
      model_.text->tokenizer(), job_.stop,
      std::make_unique<AnswerObserver>(model_.metrics, exchange_, job_.max_tokens));
  choice.answer.index = static_cast<int32_t>(choices_.size()) - 1;
  if (prompt < job_.echoes.size()) {
    choice.answer.text = job_.echoes[prompt];
    choice.decoded = choice.released = code_points(choice.answer.text);
  }
  if (job_.max_tokens == 0) return finish(choice, "length");
  choice.events =
      model_.engine->submit(request_of(prompt, choice_of_prompt),
                            // Weak: an answer that nobody waits for is not kept by the engine.
                            [weak = weak_from_this()] {
                              if (const auto self = weak.lock()) self->notify();
                            });
  if (!choice.events)
    throw RequestError(
        ApiError{429, "too many requests are waiting; try again later", "", "queue_full", 1});
}

// On the engine's thread.
void Completion::notify() {
  if (notified_.exchange(true)) return;
  const auto exchange = exchange_;  // alive until `post` returns
  exchange->post([self = shared_from_this()] { self->pump(); });
}

void Completion::pump() {
  notified_ = false;
  for (Choice& choice : choices_) {
    while (!done_ && choice.events) {
      const auto event = choice.events->try_next();
      if (!event) break;
      take(choice, *event);
    }
    if (done_) return;
    if (job_.stream) send(choice);
  }
  if (std::all_of(choices_.begin(), choices_.end(), [](const Choice& c) { return c.finished(); }))
    answer();
}

void Completion::take(Choice& choice, const Event& event) {
  if (event.kind == Event::Kind::kStarted) {
    choice.cached_tokens = event.cached_tokens;
    choice.observer->on_started(event);
  }
  if (event.kind == Event::Kind::kToken) return add_token(choice, event);
  if (event.kind != Event::Kind::kFinished) return;
  switch (event.reason) {
    case FinishReason::kStop:
    case FinishReason::kLength:
      add_text(choice, choice.detokenizer.finish());
      if (!choice.finished()) {
        release(choice, choice.matcher.finish());
        finish(choice, name(event.reason));
      }
      return;
    case FinishReason::kCancelled: return fail({503, "the server is ending"});
    case FinishReason::kTimeout: return fail(too_late());
    case FinishReason::kError: return fail({500, event.error});
  }
}

void Completion::add_token(Choice& choice, const Event& event) {
  ++choice.completion_tokens;
  choice.observer->on_token(event);
  if (event.stop_token) return;
  const Tokenizer& tokenizer = model_.text->tokenizer();
  if (job_.logprobs) {
    ScoredToken token{
        tokenizer.token_bytes(event.token.token), event.token.logprob, {}, choice.decoded};
    for (const TokenLogprob& top : event.token.top)
      token.top.push_back({tokenizer.token_bytes(top.token), top.logprob});
    choice.held_tokens.push_back(std::move(token));
  }
  add_text(choice, choice.detokenizer.add(event.token.token));
}

void Completion::add_text(Choice& choice, const std::string& piece) {
  choice.decoded += code_points(piece);
  release(choice, choice.matcher.add(piece));
  if (choice.matcher.stopped()) finish(choice, "stop");
}

// Text that is certain, with the tokens that begin in it.
void Completion::release(Choice& choice, const std::string& text) {
  choice.answer.text += text;
  choice.released += code_points(text);
  auto end = choice.held_tokens.begin();
  while (end != choice.held_tokens.end() && end->offset < choice.released) ++end;
  std::move(choice.held_tokens.begin(), end, std::back_inserter(choice.answer.tokens));
  choice.held_tokens.erase(choice.held_tokens.begin(), end);
}

void Completion::finish(Choice& choice, const char* reason) {
  choice.observer->on_finished(std::string_view(reason) == "length" ? AnswerEnd::kLength
                                                                    : AnswerEnd::kStop);
  // Tokens without text at the end; after a stop string they belong to what is cut off.
  if (!choice.matcher.stopped())
    std::move(choice.held_tokens.begin(), choice.held_tokens.end(),
              std::back_inserter(choice.answer.tokens));
  choice.held_tokens.clear();
  choice.answer.finish_reason = reason;
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
  exchange_->write(job_.format->begin(static_cast<int32_t>(choices_.size())));
}

// What the choice has to say since the last call.
void Completion::send(Choice& choice) {
  AnswerChoice& news = choice.answer;
  std::string out;
  if (!news.text.empty() || !news.tokens.empty())
    out = job_.format->delta(news.index, news.text, news.tokens);
  if (choice.finished() && !choice.end_sent)
    out += job_.format->finish(news.index, news.finish_reason);
  choice.end_sent = choice.finished();
  news.text.clear();
  news.tokens.clear();
  if (out.empty()) return;
  quiet_ = false;
  begin_stream();
  exchange_->write(out);
}

// Streams show that they live; and a request ends in time even if the engine does not come back.
void Completion::watch() {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
  const std::chrono::milliseconds delay = std::clamp(
      left, std::chrono::milliseconds(1), std::chrono::milliseconds(limits::kKeepaliveInterval));
  exchange_->after(delay, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->done_) return;
    if (Clock::now() >= self->deadline_) return self->fail(self->too_late());
    if (self->job_.stream && self->quiet_) {
      self->begin_stream();
      self->exchange_->write(kSseKeepalive);
    }
    self->quiet_ = true;
    self->watch();
  });
}

ApiError Completion::too_late() const {
  return {504, fmt::format("the request took longer than {} seconds",
                           static_cast<double>(job_.timeout.count()) / 1000)};
}

void Completion::answer() {
  done_ = true;
  if (job_.stream) {
    begin_stream();
    exchange_->write(job_.format->end(usage()));
    exchange_->end_stream(/*complete=*/true);
    return;
  }
  std::vector<AnswerChoice> answers;
  for (Choice& choice : choices_) answers.push_back(std::move(choice.answer));
  HttpResponse response;
  response.body = job_.format->whole(answers, usage());
  exchange_->respond(std::move(response));
}

void Completion::fail(const ApiError& error) {
  for (Choice& choice : choices_)
    choice.observer->on_finished(error.status == 504 ? AnswerEnd::kTimeout : AnswerEnd::kError);
  cancel();
  if (streaming_) {
    exchange_->write(job_.format->error(error));
    exchange_->end_stream(/*complete=*/false);
  } else {
    exchange_->respond(error_response(error));
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

Usage Completion::usage() const {
  Usage usage;
  for (const auto& prompt : job_.prompts)
    usage.prompt_tokens += static_cast<int64_t>(prompt.size());
  for (size_t i = 0; i < choices_.size(); ++i) {
    usage.completion_tokens += choices_[i].completion_tokens;
    // The prompt counts once, however many answers it has.
    if (i % static_cast<size_t>(job_.choices) == 0)
      usage.cached_tokens += choices_[i].cached_tokens;
  }
  return usage;
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

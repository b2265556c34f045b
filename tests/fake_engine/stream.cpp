#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/mix.h"
#include "fake_engine/engine_state.h"

namespace mica::fake {
namespace {

double between_ms(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

void flood_log(int64_t bytes) {
  const std::string line(199, 'x');
  for (int64_t written = 0; written < bytes; written += 200)
    std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace

FakeStream::FakeStream(FakeEngine::Impl& engine, std::shared_ptr<FakeConnection> connection,
                       Asked asked, const Fault* fault)
    : engine_(engine),
      connection_(std::move(connection)),
      asked_(std::move(asked)),
      fault_(fault ? std::optional<Fault>(*fault) : std::nullopt),
      tokens_(engine.script, asked_, fault),
      text_(engine.script, asked_),
      timer_(engine.io),
      keep_alive_timer_(engine.io),
      piece_timer_(engine.io) {}

void FakeStream::begin() {
  has_slot_ = true;
  const Timing& timing = engine_.script.timing;
  if (asked_.number < timing.slow_requests) factor_ = timing.slow_factor;
  cached_ = engine_.found_in_cache(asked_);
  began_ = Clock::now();
  // A request that did not wait begins when it came.
  if (between_ms(received_, began_) < 1) began_ = received_;
  const double prompt_ms =
      timing.prompt_token_ms *
      static_cast<double>(asked_.prompt_tokens - std::max<int64_t>(cached_, 0));
  due_ = began_ + milliseconds(factor_ * (timing.first_token_ms + prompt_ms));
  engine_.truths.change(asked_.number, [&](Truth& truth) {
    truth.began = seconds(began_);
    truth.prompt_tokens = asked_.prompt_tokens;
    truth.cached_tokens = std::max<int64_t>(cached_, 0);
  });
  if (fails_at("head")) {
    if (fault_->ms <= 0) return fail_head();
    return wait(Clock::now() + milliseconds(fault_->ms), &FakeStream::fail_head);
  }
  if (!asked_.stream || (fault_ && fault_->kind == "whole")) {
    for (int64_t left = tokens_.count() - engine_.script.answer.tokens_per_chunk; left > 0;
         left -= engine_.script.answer.tokens_per_chunk, ++sent_chunks_)
      due_ += milliseconds(interval_ms());
    return wait(due_, &FakeStream::whole);
  }
  open_stream();
}

bool FakeStream::fails_at(const char* where) const {
  if (!fault_ || faulted_) return false;
  if (fault_->kind == "status" || fault_->kind == "garbage") return where == std::string("head");
  static const std::vector<std::string> kPlaced = {
      "hang",         "drop",         "reset",     "crash", "exit",     "error_event",
      "invalid_json", "partial_json", "oversized", "pause", "log_flood"};
  return std::count(kPlaced.begin(), kPlaced.end(), fault_->kind) > 0 && fault_->at == where;
}

void FakeStream::wait(Clock::time_point until, void (FakeStream::*next)()) {
  timer_.expires_at(until);
  timer_.async_wait([self = shared_from_this(), next](ErrorCode error) {
    if (!error && !self->ended_) ((*self).*next)();
  });
}

void FakeStream::fail_head() {
  if (fault_->kind == "status") {
    const std::string body =
        fault_->body.empty()
            ? error_body(engine_.script.dialect, int(fault_->status), "scripted failure")
            : fault_->body;
    connection_->reply({static_cast<int>(fault_->status), body});
    return end("fault: status");
  }
  fail();
}

// Faults after which nothing more comes end here; the others go on.
void FakeStream::fail() {
  faulted_ = true;
  const std::string& kind = fault_->kind;
  if (kind == "crash") std::abort();
  if (kind == "exit") ::_exit(static_cast<int>(fault_->status));
  if (kind == "log_flood") flood_log(fault_->bytes);
  if (kind == "hang") {
    timer_.cancel();
    keep_alive_timer_.cancel();
    return engine_.truths.change(asked_.number,
                                 [](Truth& truth) { truth.outcome = "fault: hang"; });
  }
  if (kind == "garbage") connection_->write(std::string("\x16\x03\x01 no HTTP at all\r\n\r\n"));
  if (kind == "partial_json") body(next_.substr(0, next_.size() / 2));
  if (kind == "drop" || kind == "garbage" || kind == "partial_json") {
    connection_->close();
    return end("fault: " + kind);
  }
  if (kind == "reset") {
    connection_->reset();
    return end("fault: reset");
  }
  if (kind == "error_event") {
    event(text_.error("scripted failure"));
    close_stream(engine_.script.dialect == Dialect::kVllm);
    return end("fault: error_event");
  }
  if (kind == "invalid_json") event(R"({"choices":[{"index":0,"delta":{"content":"bro)");
  if (kind == "oversized")
    body("data: " + std::string(static_cast<size_t>(fault_->bytes), 'x') + "\n\n");
  due_ += milliseconds(fault_->ms);
  wait(due_, &FakeStream::chunk);
}

void FakeStream::open_stream() {
  const Answer& answer = engine_.script.answer;
  std::string head = "HTTP/1.1 200 OK\r\nServer: fake_engine\r\nCache-Control: no-cache\r\n";
  if (!answer.content_type.empty()) head += "Content-Type: " + answer.content_type + "\r\n";
  head += answer.framing != "close" ? "Transfer-Encoding: chunked\r\n\r\n"
                                    : "Connection: close\r\n\r\n";
  engine_.truths.change(asked_.number, [](Truth& truth) { truth.head = seconds(Clock::now()); });
  connection_->write(std::move(head));
  if (answer.role_chunk == "at_once") event(text_.role());
  if (answer.keep_alive_ms > 0) keep_alive();
  prepare();
  if (fails_at("token")) return fail();
  wait(due_, &FakeStream::chunk);
}

// Ahead of its time: what is left then is the writing. A chunk has tokens of one part.
void FakeStream::prepare() {
  next_tokens_.clear();
  next_.clear();
  const int64_t most = engine_.script.answer.tokens_per_chunk;
  for (int64_t i = sent_tokens_; tokens_.has(i) && i < sent_tokens_ + most; ++i) {
    Token token = tokens_.at(i);
    if (!next_tokens_.empty() && token.part != next_tokens_.front().part) break;
    next_tokens_.push_back(std::move(token));
  }
  if (next_tokens_.empty()) return;
  const bool tool = next_tokens_.front().part == Part::kTool;
  next_ = "data: " + text_.tokens(next_tokens_, tool && !tool_named_) + "\n\n";
  tool_named_ |= tool;
}

void FakeStream::chunk() {
  if (fails_at("stream") && sent_chunks_ >= fault_->after_chunks) return fail();
  if (next_.empty()) return finish();
  if (sent_chunks_ == 0 && engine_.script.answer.role_chunk == "first") event(text_.role());
  const Clock::time_point now = Clock::now();
  body(next_);
  const auto count = static_cast<int64_t>(next_tokens_.size());
  engine_.truths.change(asked_.number, [&](Truth& truth) {
    truth.due.push_back(seconds(due_));
    truth.sent.push_back(seconds(now));
    truth.tokens.push_back(count);
  });
  Counters& counters = engine_.counters(asked_.number);
  if (sent_chunks_ == 0) {
    first_sent_ = now;
    counters.first_token.add(between_ms(received_, now) / 1000);
  } else {
    for (int64_t i = 0; i < count; ++i)
      counters.inter_token.add(between_ms(last_sent_, now) / 1000 / static_cast<double>(count));
  }
  last_sent_ = now;
  sent_tokens_ += count;
  due_ += milliseconds(interval_ms());
  ++sent_chunks_;
  prepare();
  const bool fails = fails_at("stream") && sent_chunks_ >= fault_->after_chunks;
  if (next_.empty() && !fails) return finish();  // the end comes with the last token
  wait(due_, &FakeStream::chunk);
}

double FakeStream::interval_ms() const {
  const Timing& timing = engine_.script.timing;
  const auto index = static_cast<uint64_t>(sent_chunks_);
  double interval = timing.intervals_ms.empty()
                        ? timing.interval_ms
                        : timing.intervals_ms[index % timing.intervals_ms.size()];
  const uint64_t random = random_word(
      static_cast<uint64_t>(engine_.script.seed) + static_cast<uint64_t>(asked_.number) * 1000003,
      index);
  interval += timing.jitter_ms * (static_cast<double>(random >> 11) * 0x1p-52 - 1);
  interval *=
      1 + timing.load_factor * static_cast<double>(std::max<int64_t>(engine_.active - 1, 0));
  return std::max(0.0, interval * factor_);
}

UsageCounts FakeStream::counts() const {
  const Answer& answer = engine_.script.answer;
  UsageCounts out;
  out.prompt = asked_.prompt_tokens + answer.template_tokens;
  out.completion = sent_tokens_ + answer.usage_error;
  out.reasoning = std::min(tokens_.reasoning(), sent_tokens_);
  out.cached = answer.cached_tokens >= 0 ? answer.cached_tokens : cached_;
  out.prefill_ms = between_ms(began_, first_sent_);
  out.decode_ms = between_ms(first_sent_, last_sent_);
  return out;
}

void FakeStream::finish() {
  if (sent_chunks_ == 0) first_sent_ = last_sent_ = Clock::now();
  event(text_.finish(tokens_.finish_reason(), counts()));
  const std::string& usage = engine_.script.answer.usage;
  if (usage == "always" || (usage == "asked" && asked_.wants_usage)) event(text_.usage(counts()));
  close_stream(!(fault_ && fault_->kind == "no_done"));
  end("done");
}

void FakeStream::whole() {
  if (fault_ && !faulted_ && (fails_at("token") || fails_at("stream"))) return fail();
  std::vector<Token> tokens;
  for (int64_t i = 0; i < tokens_.count(); ++i) tokens.push_back(tokens_.at(i));
  sent_tokens_ = tokens_.count();
  first_sent_ = last_sent_ = Clock::now();
  engine_.truths.change(asked_.number, [&](Truth& truth) {
    truth.due.push_back(seconds(due_));
    truth.sent.push_back(seconds(last_sent_));
    truth.tokens.push_back(sent_tokens_);
  });
  Reply reply{200, text_.whole(tokens, tokens_.finish_reason(), counts())};
  connection_->reply(reply);
  end("done");
}

void FakeStream::event(const std::string& data) {
  body("data: " + data + "\n\n");
}

// Bytes of the body, framed; in pieces where the script says so.
void FakeStream::body(const std::string& bytes) {
  const Answer& answer = engine_.script.answer;
  const std::string framed =
      answer.framing != "close" ? fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes) : bytes;
  if (answer.split_bytes <= 0) return connection_->write(framed);
  const bool idle = pieces_.empty();
  const auto size = static_cast<size_t>(answer.split_bytes);
  for (size_t at = 0; at < framed.size(); at += size) pieces_.push_back(framed.substr(at, size));
  if (idle) send_pieces();
}

void FakeStream::send_pieces() {
  if (pieces_.empty() || !connection_->open()) return;
  connection_->write(std::move(pieces_.front()));
  pieces_.pop_front();
  piece_timer_.expires_after(milliseconds(engine_.script.answer.split_ms));
  piece_timer_.async_wait([self = shared_from_this()](ErrorCode error) {
    if (!error) self->send_pieces();
  });
}

void FakeStream::close_stream(bool done) {
  if (done) body("data: [DONE]\n\n");
  if (!pieces_.empty()) {  // the last pieces, then the end
    timer_.expires_after(std::chrono::milliseconds(1));
    timer_.async_wait([self = shared_from_this()](ErrorCode error) {
      if (!error) self->close_stream(/*done=*/false);
    });
    return;
  }
  const std::string& framing = engine_.script.answer.framing;
  if (framing != "close") connection_->write("0\r\n\r\n");
  if (framing == "chunked") {
    connection_->answered();
  } else {
    connection_->close();
  }
}

void FakeStream::keep_alive() {
  keep_alive_timer_.expires_after(milliseconds(engine_.script.answer.keep_alive_ms));
  keep_alive_timer_.async_wait([self = shared_from_this()](ErrorCode error) {
    if (error || self->ended_) return;
    self->body(": keep-alive\n\n");
    self->keep_alive();
  });
}

void FakeStream::end(const std::string& outcome) {
  if (std::exchange(ended_, true)) return;
  keep_alive_timer_.cancel();
  const Clock::time_point now = Clock::now();
  engine_.truths.change(asked_.number, [&](Truth& truth) {
    truth.ended = seconds(now);
    truth.outcome = outcome;
  });
  Counters& counters = engine_.counters(asked_.number);
  ++(outcome == "done" ? counters.requests : counters.failed);
  counters.prompt_tokens += asked_.prompt_tokens;
  counters.cached_tokens += std::max<int64_t>(cached_, 0);
  counters.generated_tokens += sent_tokens_;
  counters.cache_queries += asked_.prompt_tokens;
  counters.cache_hits += std::max<int64_t>(cached_, 0);
  if (outcome == "done") {
    counters.end_to_end.add(between_ms(received_, now) / 1000);
    counters.queue.add(between_ms(received_, began_) / 1000);
    counters.prefill.add(between_ms(began_, first_sent_) / 1000);
    counters.decode.add(between_ms(first_sent_, last_sent_) / 1000);
  }
  engine_.iterations.push_back({asked_.prompt_tokens - std::max<int64_t>(cached_, 0), sent_tokens_,
                                between_ms(began_, now)});
  if (has_slot_) engine_.leave(asked_.number);
}

void FakeStream::gone() {
  timer_.cancel();
  end("client gone");
}

}  // namespace mica::fake

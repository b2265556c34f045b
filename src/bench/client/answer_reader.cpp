#include "bench/client/answer_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "bench/client/foreign_text.h"

namespace mica {
namespace {

constexpr size_t kErrorBody = 64 << 10;  // bytes kept of an answer that reports an error
constexpr size_t kBeginning = 400;       // of a stream, for messages

bool known(double time) {
  return time != RequestSample::kNever;
}

void keep_first(double& time, double now) {
  if (!known(time)) time = now;
}

void keep_known(int64_t& count, int64_t said) {
  if (said != RequestSample::kUnknown) count = said;
}

void keep_known(double& seconds, double said) {
  if (known(said)) seconds = said;
}

// Two JSON lists as one.
void join_lists(std::string& list, const std::string& more) {
  if (more.empty()) return;
  if (list.empty() || list.back() != ']' || more.front() != '[') {
    list += more;
  } else {
    list.back() = ',';
    list.append(more, 1);
  }
}

}  // namespace

AnswerReader::AnswerReader(RequestSample& record, AnswerForm form, bool keep_body,
                           int64_t max_answer_bytes)
    : record_(record),
      form_(form),
      keep_body_(keep_body || form == AnswerForm::kPlain),
      max_answer_bytes_(max_answer_bytes),
      http_([this](std::string_view bytes) { body_bytes(bytes); }) {}

void AnswerReader::decide(RequestStatus status, std::string error, double time) {
  if (decided_) return;
  decided_ = true;
  record_.status = status;
  record_.error = std::move(error);
  record_.ended = time;
}

void AnswerReader::feed(std::string_view bytes, double time) {
  keep_first(record_.first_byte, time);
  time_ = time;
  http_.feed(bytes);
  if (http_.has_head()) record_.http_status = http_.status();
  if (!http_.fault().empty()) {
    decide(RequestStatus::kMalformed,
           fmt::format("the answer is no HTTP: {}{}", http_.fault(),
                       http_.has_head() ? so_far() : fmt::format(": '{}'", shown(bytes))),
           time);
  } else if (http_.done()) {
    response_ended();
  }
}

void AnswerReader::connection_ended(std::string_view why, double time) {
  time_ = time;
  http_.end();
  if (http_.done()) response_ended();
  if (decided_) return;
  if (body_ == Body::kHttpError) return decide(RequestStatus::kHttpError, error_text(text_), time);
  const bool head = http_.has_head();
  decide(RequestStatus::kDropped,
         fmt::format("the connection ended {}: {}",
                     head ? "within the answer" + so_far() : std::string("before the answer"), why),
         time);
}

AnswerReader::Body AnswerReader::body_form() const {
  if (http_.status() >= 300) return Body::kHttpError;
  if (form_ == AnswerForm::kPlain) return Body::kPlain;
  const bool json = http_.content_type().starts_with("application/json");
  return form_ == AnswerForm::kStream && !json ? Body::kEvents : Body::kWhole;
}

void AnswerReader::body_bytes(std::string_view bytes) {
  if (body_ == Body::kUnknown) body_ = body_form();
  body_bytes_ += static_cast<int64_t>(bytes.size());
  if (body_bytes_ > max_answer_bytes_)
    return decide(RequestStatus::kMalformed,
                  fmt::format("more than {} bytes in one answer", max_answer_bytes_), time_);
  if (keep_body_) record_.body += bytes;
  if (body_ == Body::kEvents) {
    if (text_.size() < kBeginning) text_ += bytes.substr(0, kBeginning - text_.size());
    sse_.feed(bytes);
    events();
  } else if (body_ == Body::kWhole) {
    text_ += bytes;
  } else if (body_ == Body::kHttpError && text_.size() < kErrorBody) {
    text_ += bytes.substr(0, kErrorBody - text_.size());
  }
}

void AnswerReader::events() {
  while (!decided_) {
    const auto next = sse_.next();
    if (!next) break;
    event(*next);
  }
  if (sse_.too_large())
    decide(RequestStatus::kMalformed, "an event of the stream is larger than 16 MB" + so_far(),
           time_);
}

void AnswerReader::event(const SseEvent& event) {
  if (event.data == "[DONE]") return decide(RequestStatus::kOk, "", time_);
  const AnswerPiece& piece = chunks_.read(event.data);
  if (event.type == "error")
    return decide(RequestStatus::kServerError, error_text(event.data), time_);
  take(piece);
}

void AnswerReader::add_text(const AnswerPiece& piece) {
  record_.answer += piece.answer;
  record_.reasoning += piece.reasoning;
  join_lists(record_.tool_calls, piece.tool_calls);
  if (piece.kind == ChunkKind::kRole || piece.kind == ChunkKind::kUsage) return;
  keep_first(record_.first_token, time_);
  if (!piece.answer.empty() || !piece.tool_calls.empty()) keep_first(record_.first_answer, time_);
  record_.last_token = time_;
}

void AnswerReader::take(const AnswerPiece& piece) {
  if (!piece.malformed.empty())
    return decide(RequestStatus::kMalformed, piece.malformed + so_far(), time_);
  ++pieces_;
  if (piece.error.empty() || piece.text_bytes() > 0) {
    keep_first(record_.first_response, time_);
    record_.chunks.push_back({time_, piece.kind, static_cast<int32_t>(piece.text_bytes())});
  }
  add_text(piece);
  if (!piece.finish_reason.empty()) record_.finish_reason = piece.finish_reason;
  keep_known(record_.prompt_tokens, piece.prompt_tokens);
  keep_known(record_.completion_tokens, piece.completion_tokens);
  keep_known(record_.cached_tokens, piece.cached_tokens);
  keep_known(record_.reasoning_tokens, piece.reasoning_tokens);
  keep_known(record_.server_prefill, piece.server_prefill);
  keep_known(record_.server_decode, piece.server_decode);
  if (!piece.error.empty()) decide(RequestStatus::kServerError, piece.error, time_);
}

void AnswerReader::response_ended() {
  if (decided_) return;
  if (body_ == Body::kUnknown) body_ = body_form();  // it has no body
  switch (body_) {
    case Body::kHttpError: return decide(RequestStatus::kHttpError, error_text(text_), time_);
    case Body::kPlain: return decide(RequestStatus::kOk, "", time_);
    case Body::kEvents: return stream_ended();
    case Body::kWhole: return whole_ended();
    case Body::kUnknown: return;
  }
}

// The event that the end left open: of a connection that went away it may be half of one.
void AnswerReader::last_event(bool whole) {
  const auto event = sse_.last();
  if (!event) return;
  if (whole || event->data == "[DONE]" || chunks_.read(event->data).malformed.empty())
    this->event(*event);
}

void AnswerReader::stream_ended() {
  const bool whole = !http_.until_close();
  last_event(whole);
  const std::string found = pieces_ > 0 ? so_far() : fmt::format(": '{}'", shown(text_));
  decide(whole ? RequestStatus::kMalformed : RequestStatus::kDropped,
         fmt::format("the {} ended without [DONE]{}", whole ? "stream" : "connection", found),
         time_);
}

void AnswerReader::whole_ended() {
  take(chunks_.read(text_));
  if (form_ == AnswerForm::kWhole) return decide(RequestStatus::kOk, "", time_);
  decide(RequestStatus::kMalformed, "expected a stream, found one JSON object", time_);
}

// " after 12 pieces with 80 bytes of text"
std::string AnswerReader::so_far() const {
  return fmt::format(" after {} pieces with {} bytes of text{}", pieces_,
                     record_.answer.size() + record_.reasoning.size() + record_.tool_calls.size(),
                     record_.finish_reason.empty()
                         ? ""
                         : fmt::format(" and finish_reason '{}'", record_.finish_reason));
}

}  // namespace mica

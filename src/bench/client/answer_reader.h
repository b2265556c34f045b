// From the bytes of a response to the record of its request: HTTP, events, JSON, and when what
// came.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bench/client/chunk_reader.h"
#include "bench/client/client.h"
#include "bench/client/http_answer.h"
#include "bench/client/sse_parser.h"

namespace mica {

class AnswerReader {
 public:
  // record: outlives this; gets everything but id, group, warmup, due and sent.
  AnswerReader(RequestSample& record, AnswerForm form, bool keep_body, int64_t max_answer_bytes);
  AnswerReader(const AnswerReader&) = delete;
  AnswerReader& operator=(const AnswerReader&) = delete;

  // Bytes that were read at `time`, run time.
  void feed(std::string_view bytes, double time);
  // No byte will follow; `why` as the system says it.
  void connection_ended(std::string_view why, double time);
  // From outside: a deadline, a cancellation. No effect once decided.
  void decide(RequestStatus status, std::string error, double time);

  // The record has its final status, error and end.
  bool decided() const { return decided_; }
  // Nothing of this response will follow.
  bool finished() const { return http_.done(); }
  // … and another request may use the connection.
  bool reusable() const { return http_.reusable() && record_.status != RequestStatus::kMalformed; }
  int64_t pieces() const { return pieces_; }

 private:
  enum class Body { kUnknown, kEvents, kWhole, kPlain, kHttpError };
  void body_bytes(std::string_view bytes);
  Body body_form() const;
  void events();
  void event(const SseEvent& event);
  void take(const AnswerPiece& piece);
  void add_text(const AnswerPiece& piece);
  void response_ended();
  void last_event(bool whole);
  void stream_ended();
  void whole_ended();
  std::string so_far() const;

  RequestSample& record_;
  const AnswerForm form_;
  const bool keep_body_;
  const int64_t max_answer_bytes_;
  HttpAnswer http_;
  SseParser sse_;
  ChunkReader chunks_;
  Body body_ = Body::kUnknown;
  std::string text_;  // of a body that is no stream, or the beginning of one
  int64_t body_bytes_ = 0;
  int64_t pieces_ = 0;
  double time_ = 0;  // of the bytes at hand
  bool decided_ = false;
};

}  // namespace mica

// How a dialect writes an answer: one whole body, or the pieces of a stream. The life of a request
// (completion.h) is the same for all dialects.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "server/server_error.h"
#include "text/answer/answer_parser.h"

namespace mica {

// A token with its log-probability, for answers that show them.
struct ScoredToken {
  int32_t id = 0;
  std::string bytes;             // may be no valid UTF-8
  std::optional<float> logprob;  // none: a prompt begins with it
  struct Alternative {
    int32_t id = 0;
    std::string bytes;
    float logprob = 0;
  };
  std::vector<Alternative> top;  // highest first
  size_t offset = 0;             // where it begins in the answer, code points
};

struct AnswerChoice {
  int32_t index = 0;
  std::vector<AnswerPart> parts;        // neighbours of one kind are one part
  std::span<const ScoredToken> prompt;  // where it was scored; lives as long as the request
  std::vector<ScoredToken> tokens;      // generated
  std::vector<int32_t> ids;             // all tokens, where the request asked for them
  std::string finish_reason;            // "stop", "length", "tool_calls"
  std::string stop_text;                // the stop string that ended it
  int32_t stop_token = -1;              // the token of stop_token_ids that ended it
  std::string warning;                  // what was malformed and what was made of it

  // All text of one kind, and the JSON text of call `tool`.
  std::string text(AnswerPart::Kind kind) const;
  std::string arguments(int32_t tool) const;
};

struct Usage {
  int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  int64_t reasoning_tokens = 0;
  int64_t draft_tokens = 0, accepted_draft_tokens = 0;  // speculation
};

// Milliseconds; of several choices the longest.
struct Timings {
  double queue_ms = 0, prompt_ms = 0, predicted_ms = 0;
};

struct Account {
  Usage usage;
  Timings timings;
};

// One object writes one answer; a stream's calls come in order.
class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;
  virtual std::string whole(std::span<const AnswerChoice> choices, const Account& account) = 0;

  // Pieces of a text/event-stream, in this order; "" where a dialect has nothing to say.
  virtual std::string begin(int32_t choices, const Account& account) = 0;
  // What is new of a choice: parts and tokens that belong to them.
  virtual std::string delta(const AnswerChoice& news, const Account& account) = 0;
  // `last` has no parts: reason, stop and warning.
  virtual std::string finish(const AnswerChoice& last, const Account& account) = 0;
  virtual std::string end(const Account& account) = 0;
  // In place of the rest.
  virtual std::string stream_error(const ApiError& error) = 0;
  // A sign of life in a quiet stream.
  virtual std::string keepalive();

  // In place of a whole answer, and of a stream that has not begun.
  virtual HttpResponse error(const ApiError& error) { return error_response(error); }
};

}  // namespace mica

// How a dialect writes an answer: one whole body, or the pieces of a stream. The life of a request
// (completion.h) is the same for all dialects.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "server/server_error.h"

namespace mica {

// A generated token with its log-probability, for answers that show them.
struct ScoredToken {
  std::string bytes;  // may be no valid UTF-8
  float logprob = 0;
  struct Alternative {
    std::string bytes;
    float logprob = 0;
  };
  std::vector<Alternative> top;  // highest first
  size_t offset = 0;             // where it begins in the answer, code points
};

struct AnswerChoice {
  int32_t index = 0;
  std::string text;
  std::string finish_reason;  // "stop", "length"
  std::vector<ScoredToken> tokens;
};

struct Usage {
  int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
};

class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;
  virtual std::string whole(std::span<const AnswerChoice> choices, const Usage& usage) const = 0;

  // Pieces of a text/event-stream, in this order; "" where a dialect has nothing to say.
  virtual std::string begin(int32_t choices) const = 0;
  virtual std::string delta(int32_t index, const std::string& text,
                            std::span<const ScoredToken> tokens) const = 0;
  virtual std::string finish(int32_t index, const std::string& finish_reason) const = 0;
  virtual std::string end(const Usage& usage) const = 0;
  // In place of the rest.
  virtual std::string error(const ApiError& error) const = 0;
};

}  // namespace mica

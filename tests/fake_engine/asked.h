// What a request asks of the scripted engine, and the tokens that it gets.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "fake_engine/script.h"

namespace mica::fake {

struct Asked {
  int64_t number = 0;  // of requests for an answer, from 0
  bool chat = true, stream = false, wants_usage = false;
  int64_t max_tokens = 16, min_tokens = 0;
  bool ignore_eos = false;
  std::string prompt;            // all texts of the messages, or the prompt
  int64_t prompt_tokens = 0;     // words, and 4 for each message; or the ids
  std::vector<uint64_t> blocks;  // of 16 prompt tokens: a hash of all up to its end
  bool may_cache = true;
};

// A refusal: the status and the body of the reply.
struct Refusal {
  int status = 400;
  std::string body;
};

// Fills `asked` from the body of a POST to the chat or completions path.
std::optional<Refusal> read_request(const Script& script, bool chat, const std::string& body,
                                    Asked& asked);
// An error's body as the dialect has it.
std::string error_body(Dialect dialect, int status, const std::string& message);

enum class Part { kReasoning, kAnswer, kTool };

struct Token {
  Part part = Part::kAnswer;
  std::string text;
};

// The tokens of one answer. The same prompt and seed get the same ones.
class AnswerTokens {
 public:
  AnswerTokens(const Script& script, const Asked& asked, const Fault* fault);
  bool has(int64_t index) const { return endless_ || index < count_; }
  int64_t count() const { return count_; }  // not of an endless one
  Token at(int64_t index) const;
  const std::string& finish_reason() const { return finish_reason_; }
  int64_t reasoning() const { return reasoning_; }  // the first so many are reasoning

 private:
  const Script& script_;
  std::vector<std::string> canned_;
  uint64_t seed_ = 0;
  int64_t count_ = 0, reasoning_ = 0;
  bool endless_ = false;
  std::string finish_reason_;
};

}  // namespace mica::fake

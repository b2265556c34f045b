// The meaning of one JSON object of an answer: an event of a stream or a whole answer, in the chat
// and completions dialects of OpenAI, vLLM, SGLang, llama.cpp, TensorRT-LLM, mlx-lm and Mica.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "bench/client/record.h"

namespace mica {

struct AnswerPiece {
  ChunkKind kind = ChunkKind::kRole;
  std::string answer, reasoning;  // text
  std::string tool_calls;         // JSON text of the list; empty = none
  std::string finish_reason;      // of the dialect, or empty
  std::string error;              // what the server says went wrong; empty = nothing
  std::string malformed;          // why these bytes are not the dialect; empty = they are

  // kUnknown where this piece does not say.
  int64_t prompt_tokens = RequestSample::kUnknown, completion_tokens = RequestSample::kUnknown;
  int64_t cached_tokens = RequestSample::kUnknown, reasoning_tokens = RequestSample::kUnknown;
  double server_prefill = RequestSample::kNever, server_decode = RequestSample::kNever;

  size_t text_bytes() const { return answer.size() + reasoning.size() + tool_calls.size(); }
};

class ChunkReader {
 public:
  ChunkReader();
  ~ChunkReader();
  ChunkReader(ChunkReader&&) noexcept;

  // Valid until the next call. Never throws for what the bytes hold.
  const AnswerPiece& read(std::string_view json);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
  AnswerPiece piece_;
};

// What an error's body says, in one line: its JSON's message, else the beginning of the text.
std::string error_text(std::string_view body);

}  // namespace mica

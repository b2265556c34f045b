// What happened to one request, with all of its times: the unit of every result. Written by the
// client, read by the statistics, the result store and the reports.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mica {

enum class RequestStatus {
  kOk,           // a stream that ended as its dialect says, or a whole answer
  kRefused,      // no connection
  kHttpError,    // a status other than 2xx; `http_status` has it
  kTimeout,      // its deadline passed; what came before is kept
  kDropped,      // the connection ended before the answer did
  kMalformed,    // bytes that are not the dialect
  kServerError,  // an error inside a stream that had begun
  kCancelled,    // the run ended before it did
};
const char* name(RequestStatus status);  // "ok", "refused", "http_error", …

// What a piece of a stream carries. The last three are tokens; a piece with several is
// the first of them in the order reasoning, answer, tool call.
enum class ChunkKind {
  kRole,   // no text: the head of an answer, or its end
  kUsage,  // counts alone
  kReasoning,
  kAnswer,
  kToolCall,
};

struct ChunkRecord {
  double time = 0;  // when its last byte was read
  ChunkKind kind = ChunkKind::kAnswer;
  int32_t bytes = 0;  // of text
};

// All times are seconds of the monotonic clock since the run began; kNever = it did not happen.
struct RequestSample {
  static constexpr double kNever = -1;

  int64_t id = 0;       // from 0 within the run, warm-up included
  bool warmup = false;  // kept, never part of a figure
  std::string group;    // of the workload: a turn of a conversation, a shared prefix; or empty

  double due = kNever;             // when an open loop wanted it sent
  double sent = kNever;            // the request's first byte was handed to the kernel
  double first_byte = kNever;      // of the answer's head
  double first_response = kNever;  // first chunk of any kind (TTFR)
  double first_token = kNever;     // first text, reasoning or tool call (TTFT)
  double first_answer = kNever;    // first text that is no reasoning (TTFO)
  double last_token = kNever;
  double ended = kNever;
  std::vector<ChunkRecord> chunks;

  RequestStatus status = RequestStatus::kCancelled;
  int32_t http_status = 0;  // 0 = none came
  std::string error;        // what the server or the client said; empty when ok

  std::string answer, reasoning, tool_calls;  // tool calls as the JSON text that came
  std::string finish_reason;
  std::string body;  // as it came, where the request wanted it kept

  // Tokens; kUnknown = nobody said.
  static constexpr int64_t kUnknown = -1;
  int64_t wanted_input = kUnknown, wanted_output = kUnknown;       // what the workload asked for
  int64_t prompt_tokens = kUnknown, completion_tokens = kUnknown;  // the server's usage
  int64_t cached_tokens = kUnknown, reasoning_tokens = kUnknown;
  int64_t counted_output = kUnknown;  // of the text that came, by the model's tokenizer
  // Seconds, as the server measured itself where its answers say so (llama.cpp: `timings`).
  double server_prefill = kNever, server_decode = kNever;

  bool ok() const { return status == RequestStatus::kOk; }
  // Of the answer: the usage's count, else the tokenizer's, else one for each chunk of tokens.
  int64_t output_tokens() const;
};

}  // namespace mica

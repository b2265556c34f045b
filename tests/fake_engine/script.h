// What the scripted engine does: read from JSON, changed by "path=value" pairs. README.md has all
// members with examples.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace mica::fake {

// "openai", "vllm", "sglang", "llamacpp", "trtllm", "mlx", "mica", "tabby"
enum class Dialect { kOpenAi, kVllm, kSglang, kLlamaCpp, kTrtLlm, kMlx, kMica, kTabby };
const char* name(Dialect dialect);

// When what is sent. Milliseconds.
struct Timing {
  double first_token_ms = 20;        // from the request's last byte to the first token
  double prompt_token_ms = 0;        // more for each prompt token that is not cached
  double interval_ms = 10;           // between chunks
  std::vector<double> intervals_ms;  // instead, in turn, beginning anew at the end
  double jitter_ms = 0;              // each interval differs by up to this, by seed
  int64_t slots = 0;                 // requests that are answered at one time; 0 = all
  int64_t gather = 0;                // the first ones wait until so many have come
  double load_factor = 0;            // intervals grow by this share for each other active request
  int64_t slow_requests = 0;         // the first ones take `slow_factor` times as long
  double slow_factor = 1;
};

struct CannedText {
  std::string contains, text;  // a prompt with the one gets the other
};

struct Answer {
  int64_t tokens = 0;  // of an answer; 0 = max_tokens, or 16
  int64_t tokens_per_chunk = 1;
  int64_t reasoning_tokens = 0;  // the first ones are reasoning
  std::string reasoning_field = "reasoning_content";
  bool tool_call = false;              // the answer, after the reasoning, is the call of a tool
  std::string role_chunk = "at_once";  // "at_once", "first" (with the first token's time), "none"
  std::string usage = "asked";         // "asked", "always", "never"
  int64_t usage_error = 0;             // added to completion_tokens
  int64_t template_tokens = 0;         // added to prompt_tokens
  int64_t cached_tokens = -1;          // in the usage; -1 = by prefix_cache, or not reported
  bool prefix_cache = false;           // finds prompts' beginnings again, in blocks of 16 tokens
  double keep_alive_ms = 0;            // comments between events
  int64_t split_bytes = 0;  // each event is written in pieces of so many bytes; 0 = whole
  double split_ms = 0;      // between these pieces
  std::string content_type = "text/event-stream; charset=utf-8";
  // Or "close": the body ends with the connection; "chunked_once": which ends behind it unsaid.
  std::string framing = "chunked";
  std::string text;               // instead of made-up words
  std::vector<CannedText> texts;  // … by the prompt
  bool same_word = false;         // one word for ever
  bool vary = false;              // the same prompt gets another answer each time
};

// From the program's start.
struct Start {
  double listen_ms = 0;          // before, connections are refused
  double health_ms = 0;          // before, /health is 503
  std::string models_text;       // in place of the list of models
  double models_ms = 0;          // before, the list of models is empty
  double generate_ms = 0;        // before, requests wait
  std::string identity;          // "" = the dialect's; "web", "silent", "ssh": another service
  std::vector<std::string> log;  // lines on standard error
  double log_line_ms = 0;        // between them
  int64_t log_bytes = 0;         // of further lines, as fast as they are taken
  double exit_ms = 0;            // > 0: ends then, with `exit_status`
  int64_t exit_status = 1;
  std::string failure;  // the log of a known failure (failures.h), then the end
  bool ignore_sigterm = false;
  int64_t children = 0;  // processes of its own that only wait
};

struct Fault {
  std::string kind;           // README.md
  int64_t first = 0;          // request that gets it, from 0
  int64_t count = -1;         // so many; -1 = all that follow
  int64_t every = 1;          // of these, each so many
  std::string at = "stream";  // "head", "token", "stream": how far the answer has come
  int64_t after_chunks = 2;   // "stream": after so many chunks of tokens
  int64_t status = 500;
  std::string body;
  int64_t bytes = int64_t{32} << 20;
  int64_t tokens = 3;
  double ms = 0;

  bool hits(int64_t request) const {
    return request >= first && (count < 0 || request < first + count) &&
           (request - first) % every == 0;
  }
};

struct Script {
  std::string host = "127.0.0.1";
  int64_t port = 0;       // 0 = any free one
  std::string port_file;  // gets the port's number
  Dialect dialect = Dialect::kVllm;
  std::string model = "fake-model", version = "1.2.3", api_key;
  std::string cert_file, key_file;  // TLS
  int64_t seed = 0;
  int64_t engines = 1;           // label sets of the metrics page
  bool strict_fields = false;    // refuses fields it does not know; TensorRT-LLM always does
  int64_t max_context = 131072;  // tokens; more is refused
  Timing timing;
  Answer answer;
  Start start;
  std::vector<Fault> faults;
};

// Throws Error(kUsage) with the path of what is wrong: "answer.tokens: expected a whole number".
Script read_script(const nlohmann::json& json);
// "timing.first_token_ms=5", "faults.0.kind=drop" into a script's JSON; the value is JSON, else
// text.
void set_member(nlohmann::json& script, const std::string& assignment);

}  // namespace mica::fake

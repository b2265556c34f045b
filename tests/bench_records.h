// Requests with known figures.
#pragma once

#include <string>
#include <vector>

#include "bench/client/record.h"

namespace mica {

// A stream of `tokens` tokens, one a chunk and `gap` apart, the first `ttft` after it was sent; a
// chunk with the role comes 1 ms before it. It ends `tail` after the last token.
struct StreamSpec {
  double sent = 0, ttft = 0.1, gap = 0.01, tail = 0;
  int64_t prompt = 100, tokens = 11;
};

inline RequestSample streamed(int64_t id, const StreamSpec& spec) {
  RequestSample r;
  r.id = id;
  r.sent = spec.sent;
  r.first_byte = r.first_response = spec.sent + spec.ttft - 0.001;
  r.chunks.push_back({r.first_response, ChunkKind::kRole, 0});
  for (int64_t i = 0; i < spec.tokens; ++i) {
    const double time = spec.sent + spec.ttft + static_cast<double>(i) * spec.gap;
    r.chunks.push_back({time, ChunkKind::kAnswer, 4});
    r.answer += "word";
  }
  r.first_token = r.first_answer = spec.sent + spec.ttft;
  r.last_token = r.chunks.back().time;
  r.ended = r.last_token + spec.tail;
  r.chunks.push_back({r.ended, ChunkKind::kUsage, 0});
  r.status = RequestStatus::kOk;
  r.http_status = 200;
  r.finish_reason = "length";
  r.prompt_tokens = r.wanted_input = spec.prompt;
  r.completion_tokens = r.counted_output = r.wanted_output = spec.tokens;
  r.cached_tokens = 0;
  return r;
}

inline RequestSample failed(int64_t id, double sent, RequestStatus status) {
  RequestSample r;
  r.id = id;
  r.sent = sent;
  r.ended = sent + 0.5;
  r.status = status;
  r.error = "the engine said no";
  return r;
}

// `count` streams one after another; each has a little more TTFT than the one before, in a cycle.
inline std::vector<RequestSample> steady_run(int64_t count, StreamSpec spec = {}) {
  std::vector<RequestSample> records;
  const double base = spec.ttft;
  for (int64_t i = 0; i < count; ++i) {
    spec.ttft = base * (1 + 0.001 * static_cast<double>(i * 7 % 11));
    records.push_back(streamed(i, spec));
    spec.sent = records.back().ended;
  }
  return records;
}

}  // namespace mica

// The life of one request: submission, events, text, stop strings, usage, answer. Knows no dialect.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/request.h"
#include "server/answer_format.h"
#include "server/http.h"
#include "server/served_model.h"

namespace mica {

// How a chat answer is split into content, reasoning and calls.
struct AnswerReading {
  AnswerStyle style;
  AnswerParserOptions parser;
  bool show_reasoning = true;  // false: it is left out
};

struct CompletionJob {
  std::vector<std::vector<int32_t>> prompts;
  std::vector<std::string> echoes;  // begin the answers to each prompt; empty = none
  SamplingParams sampling;
  int32_t max_tokens = 512;  // what is left of the context limits it further
  int32_t choices = 1;       // per prompt; each with the next seed
  int32_t best_of = 1;       // so many are generated, the likeliest `choices` are the answer
  int64_t adapter = 0;       // Request::adapter
  std::vector<std::string> stop;
  bool include_stop = false;            // the stop string is part of the answer
  std::vector<int32_t> stop_token_ids;  // beside the model's end tokens
  int32_t min_tokens = 0;
  bool ignore_eos = false;
  bool use_prefix_cache = true;
  int32_t priority = 0;
  bool stream = false;
  bool logprobs = false;
  int32_t top_logprobs = 0;
  // So many alternatives of each token of the prompts, which are scored before the completion
  // starts; none: they are not.
  std::optional<int32_t> prompt_logprobs;
  std::vector<std::vector<ScoredToken>> scored_prompts;
  bool score_end = false;                // the token that ends an answer has a log-probability too
  bool keep_ids = false;                 // AnswerChoice::ids is wanted
  bool skip_special_tokens = true;       // in plain text
  std::optional<AnswerReading> reading;  // none: all text is content
  std::chrono::milliseconds timeout{0};  // from submission to the last token; 0 = none
  // Makes the limits of one answer's tokens; none: all are free.
  std::function<std::shared_ptr<TokenConstraint>()> constraint;
  std::unique_ptr<AnswerFormat> format;
};

// Throws RequestError(400, context_length_exceeded) for a prompt that leaves no room for a token,
// and for an empty one.
void check_prompts(const CompletionJob& job, const ServedModel& model);

// On the exchange's executor; `job` is checked. Answers through `exchange`, whatever happens; ends
// the work of the engine when the exchange closes. `model` outlives it.
void start_completion(CompletionJob job, const ServedModel& model,
                      std::shared_ptr<Exchange> exchange);

}  // namespace mica

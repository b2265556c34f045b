// OpenAI's request bodies, with the further fields of mlx-lm, vLLM and llama.cpp, to what the
// engine runs. All checks of values are here and below; each error is a RequestError with the
// field's name.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "server/chat_input.h"
#include "server/completion.h"
#include "server/served_model.h"

namespace mica {

// What the form of an answer depends on.
struct OpenAiShape {
  std::string model;         // as the request names it
  int32_t top_logprobs = 0;  // alternatives per token
  bool logprobs = false;
  bool echo = false;                       // logprobs begin with those of the prompt
  std::optional<int32_t> prompt_logprobs;  // alternatives per token of the prompt; none: not shown
  bool include_usage = false;              // a last chunk with it
  bool continuous_usage = false;           // in every chunk
  bool timings_per_token = false;
  bool token_ids = false;
  bool tokens_as_ids = false;  // "token_id:5" in logprobs
};

// Fields that chat and text completions share.
void common_fields(const Fields& fields, const ServedModel& model, CompletionJob& job,
                   OpenAiShape& shape);

// The job's prompts get log-probabilities with `top` alternatives, as `field` asks.
void score_prompts(const char* field, int32_t top, const ServedModel& model, CompletionJob& job);

// Messages, tools and template of a chat request. `fields` is also the body of /apply-template and
// of token counts.
ChatInput chat_fields(const Fields& fields, const ServedModel& model);

// openai_messages.cpp: checked, contents as texts, tool-call arguments as objects where they are.
// `knows_developer`: the template has a role of this name, else it reads as "system".
nlohmann::ordered_json normal_messages(const nlohmann::ordered_json& messages,
                                       bool knows_developer);
bool knows_developer(const ServedModel& model);

}  // namespace mica

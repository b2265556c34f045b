// Answers in OpenAI's shapes: chat completions, text completions, the list of models.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "server/answer_format.h"
#include "server/openai_request.h"

namespace mica {

std::unique_ptr<AnswerFormat> chat_format(const OpenAiShape& shape, const ServedModel& model);
std::unique_ptr<AnswerFormat> text_format(const OpenAiShape& shape, const ServedModel& model);

// openai_logprobs.cpp: log-probabilities in the two shapes. `as_ids`: tokens read "token_id:5".
nlohmann::ordered_json chat_logprobs(std::span<const ScoredToken> tokens, bool as_ids);
// Of a prompt, may be empty, and of what follows; with `top` alternatives at most.
nlohmann::ordered_json text_logprobs(std::span<const ScoredToken> prompt,
                                     std::span<const ScoredToken> tokens, int32_t top, bool as_ids);
// vLLM's list, an object for each token of the prompt: the token itself first. Ranks are known of
// the `top` likeliest.
nlohmann::ordered_json prompt_logprobs(std::span<const ScoredToken> prompt, int32_t top);

// llama.cpp's object of speeds.
nlohmann::ordered_json timings_json(const Account& account);

}  // namespace mica

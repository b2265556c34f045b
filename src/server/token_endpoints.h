// Text to tokens and back, and prompts as the model sees them; by the names of vLLM and llama.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/served_model.h"

namespace mica {

// Bodies of the answers; throw RequestError.
std::string tokenize(std::string_view body, const ServedModel& model);    // POST /tokenize
std::string detokenize(std::string_view body, const ServedModel& model);  // POST /detokenize
std::string apply_template(std::string_view body,
                           const ServedModel& model);  // POST /apply-template
// POST /v1/chat/completions/input_tokens
int64_t count_chat_tokens(std::string_view body, const ServedModel& model);
// {"object": "response.input_tokens", "input_tokens": …}
std::string input_tokens_json(int64_t tokens);

}  // namespace mica

// OpenAI's request bodies, with mlx-lm's further fields, to what the engine runs. All checks of
// values are here; each error is a RequestError with the field's name.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/request.h"
#include "server/served_model.h"

namespace mica {

// Fields that chat and text completions share.
struct GenerationFields {
  std::string model;  // as the request names it, for the answer
  SamplingParams sampling;
  int32_t max_tokens = -1;   // -1: the default of the server
  int32_t choices = 1;       // n
  int32_t top_logprobs = 0;  // alternatives per token
  bool logprobs = false;
  bool stream = false;
  bool include_usage = false;
  std::vector<std::string> stop;
};

struct ChatRequest {
  GenerationFields fields;
  nlohmann::ordered_json messages, tools, template_arguments;  // for the template
  bool add_generation_prompt = true;
  bool continue_final_message = false;
};

struct TextPrompt {
  bool is_tokens = false;
  std::string text;
  std::vector<int32_t> tokens;
};

struct TextRequest {
  GenerationFields fields;
  std::vector<TextPrompt> prompts;  // at least one
  bool echo = false;
};

ChatRequest parse_chat_request(const nlohmann::ordered_json& body, const ServedModel& model);
TextRequest parse_text_request(const nlohmann::ordered_json& body, const ServedModel& model);

// openai_messages.cpp: checked, contents as texts, tool-call arguments as objects where they are.
// `knows_developer`: the template has a role of this name, else it reads as "system".
nlohmann::ordered_json normal_messages(const nlohmann::ordered_json& messages,
                                       bool knows_developer);

}  // namespace mica

// The JSON of a request as a backend's dialect takes it: a field it does not know is not sent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/plan/plan.h"

namespace mica {

// A piece of a message: a text, or an image by its URL ("https://…" or "data:…", image.h).
struct ContentPart {
  std::string text;
  std::string image_url;  // when not empty, this is an image
};

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::vector<ContentPart> parts;
};

// What is asked. Exactly one of messages, prompt and tokens is set.
struct RequestContent {
  std::string model;
  std::vector<ChatMessage> messages;  // chat
  std::optional<std::string> prompt;  // completions
  std::vector<int32_t> tokens;        // completions, where the dialect takes ids
  bool stream = true;
  std::optional<int64_t> max_tokens;
  bool exact_length = false;  // exactly max_tokens, as far as the dialect has fields for it
  std::optional<int64_t> seed;
  // Kept from the prefix cache by the dialect's field for that, where it has one. `unique` replaces
  // "{unique}" in that field's value (a salt).
  bool no_cache = false;
  std::string unique;
  // Further fields, name and JSON value as the plan's `sampling` has them: {"temperature", "0"}.
  std::vector<std::pair<std::string, std::string>> fields;
};

struct RequestBody {
  std::string path;  // of the dialect
  std::string json;
  std::vector<std::string> left_out;  // wanted fields that this dialect does not take
};

// Throws Error(kUsage): nothing or several things are asked, token ids for a dialect without them,
// a value that is no JSON.
RequestBody request_body(const PlanDialect& dialect, const RequestContent& content);

}  // namespace mica

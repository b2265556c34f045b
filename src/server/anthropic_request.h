// Anthropic's Messages: from a body to a job for the engine.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/completion.h"

namespace mica {

// POST /v1/messages. Throws RequestError.
CompletionJob messages_job(std::string_view body, const ServedModel& model);
// POST /v1/messages/count_tokens: tokens of the prompt.
int64_t count_message_tokens(std::string_view body, const ServedModel& model);

}  // namespace mica

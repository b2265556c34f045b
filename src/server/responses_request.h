// OpenAI's Responses: from a body to a job for the engine.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "server/completion.h"
#include "server/json_fields.h"
#include "server/response_store.h"
#include "server/tool_fields.h"

namespace mica {

// POST /v1/responses. Throws RequestError. `store` holds earlier responses and takes this one.
CompletionJob responses_job(std::string_view body, const ServedModel& model,
                            const std::shared_ptr<ResponseStore>& store);
// POST /v1/responses/input_tokens: tokens of the prompt.
int64_t count_response_tokens(std::string_view body, const ServedModel& model,
                              const std::shared_ptr<ResponseStore>& store);

// responses_items.cpp
// `input` as a list of items, each checked to be an object with a known type.
nlohmann::ordered_json input_items(const Fields& fields);
// Messages for the template, of `instructions` and a dialogue's items.
nlohmann::ordered_json messages_of_items(const std::string& instructions,
                                         const nlohmann::ordered_json& items);
// `tools`, `tool_choice` and `parallel_tool_calls`.
ToolUse responses_tool_fields(const Fields& fields);

}  // namespace mica

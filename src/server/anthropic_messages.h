// Messages, system texts and tools of Anthropic's form, as templates expect them.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "server/json_fields.h"
#include "server/tool_fields.h"

namespace mica {

// `system` and `messages`: text, thinking, tool_use and tool_result blocks.
nlohmann::ordered_json anthropic_messages(const Fields& fields);
// `tools` and `tool_choice`.
ToolUse anthropic_tool_fields(const Fields& fields);

}  // namespace mica

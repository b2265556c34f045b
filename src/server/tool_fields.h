// Tools and the choice among them, of all dialects in OpenAI's form.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "server/json_fields.h"

namespace mica {

struct ToolUse {
  enum class Choice : uint8_t { kAuto, kNone, kRequired, kNamed } choice = Choice::kAuto;
  nlohmann::ordered_json tools;  // [{"type": "function", "function": {…}}, …]; null: none
  std::string name;              // kNamed
  std::string param = "tools";   // the field that says so, for errors
  bool parallel = true;          // false: one call at most
};

// The list in the field "tools", each tool brought into OpenAI's form by `convert`, which gets its
// place for errors; null when there are none.
nlohmann::ordered_json converted_tools(
    const Fields& fields, nlohmann::ordered_json (*convert)(const nlohmann::ordered_json& tool,
                                                            const std::string& place));

// The function objects in `tools` are checked; where a choice needs a tool, it is there.
void check_tools(const ToolUse& use);

// "auto" and such, or {"type": "function", "function": {"name"}}, or with "name" itself.
void read_tool_choice(const nlohmann::ordered_json& choice, ToolUse& use);

// tools, tool_choice and parallel_tool_calls of chat completions.
ToolUse chat_tool_fields(const Fields& fields);

}  // namespace mica

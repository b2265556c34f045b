#include "server/tool_fields.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/limits.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;
using Choice = ToolUse::Choice;

void check_tool(const Json& tool, const std::string& place) {
  if (!tool.is_object()) wrong_value(place, "an object", tool);
  const auto function = tool.find("function");
  if (function == tool.end()) return;  // a form that only the template knows
  if (!function->is_object()) wrong_value(place + ".function", "an object", *function);
  const auto name = function->find("name");
  if (name == function->end() || !name->is_string() || *name == "")
    throw RequestError(place + ".function.name", place + ".function.name: expected a string");
  const auto parameters = function->find("parameters");
  if (parameters != function->end() && !parameters->is_null() && !parameters->is_object())
    wrong_value(place + ".function.parameters", "a JSON schema", *parameters);
}

bool has_function(const Json& tools, const std::string& name) {
  return std::any_of(tools.begin(), tools.end(), [&](const Json& tool) {
    const auto function = tool.find("function");
    return function != tool.end() && text_or_empty(*function, "name") == name;
  });
}

}  // namespace

Json converted_tools(const Fields& fields, Json (*convert)(const Json&, const std::string&)) {
  const Json* tools = fields.find("tools");
  if (!tools || tools->empty()) return nullptr;
  if (!tools->is_array()) wrong_value("tools", "a list", *tools);
  Json out = Json::array();
  for (size_t i = 0; i < tools->size(); ++i)
    out.push_back(convert((*tools)[i], fmt::format("tools[{}]", i)));
  return out;
}

void check_tools(const ToolUse& use) {
  const bool any = use.tools.is_array() && !use.tools.empty();
  if (any && use.tools.size() > limits::kTools)
    throw RequestError(use.param, fmt::format("{}: {} tools, at most {} are taken", use.param,
                                              use.tools.size(), limits::kTools));
  for (size_t i = 0; any && i < use.tools.size(); ++i)
    check_tool(use.tools[i], fmt::format("{}[{}]", use.param, i));
  if (use.choice != Choice::kRequired && use.choice != Choice::kNamed) return;
  if (!any)
    throw RequestError("tool_choice", "tool_choice: it asks for a call, and tools is empty");
  if (use.choice == Choice::kNamed && !has_function(use.tools, use.name))
    throw RequestError("tool_choice", fmt::format("tool_choice: no tool has the name '{}'",
                                                  use.name.substr(0, 200)));
}

void read_tool_choice(const Json& choice, ToolUse& use) {
  if (choice == "auto") return;
  if (choice == "none") {
    use.choice = Choice::kNone;
  } else if (choice == "required" || choice == "any") {
    use.choice = Choice::kRequired;
  } else if (choice.is_object()) {
    const Json* object = Fields(choice).find("function");
    if (!object) object = &choice;
    const auto name = object->is_object() ? object->find("name") : object->end();
    if (!object->is_object() || name == object->end() || !name->is_string())
      wrong_value("tool_choice", "the name of a function", choice);
    use.choice = Choice::kNamed;
    use.name = name->get<std::string>();
  } else {
    wrong_value("tool_choice", "\"auto\", \"none\", \"required\" or a function", choice);
  }
}

ToolUse chat_tool_fields(const Fields& fields) {
  ToolUse use;
  const Json* tools = fields.find("tools");
  if (tools && !tools->is_array()) wrong_value("tools", "a list", *tools);
  if (tools && !tools->empty()) use.tools = *tools;
  if (const Json* choice = fields.find("tool_choice")) read_tool_choice(*choice, use);
  use.parallel = fields.boolean("parallel_tool_calls", true);
  check_tools(use);
  return use;
}

}  // namespace mica

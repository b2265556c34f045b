// Items of the Responses API, as templates expect messages and tools.
#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "server/limits.h"
#include "server/responses_request.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

std::string type_of(const Json& item) {
  const auto type = item.find("type");
  if (type != item.end() && type->is_string()) return type->get<std::string>();
  return item.contains("role") ? "message" : "";
}

// A string, or a list of text parts.
std::string text_of(const Json& content, const std::string& place) {
  if (content.is_null()) return "";
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) wrong_value(place, "a string or a list of text parts", content);
  std::string out;
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", place, i);
    if (!content[i].is_object()) wrong_value(at, "an object", content[i]);
    const std::string type = text_or_empty(content[i], "type");
    if (type == "refusal") {
      out += member_text(content[i], "refusal", at);
    } else if (type == "input_text" || type == "output_text" || type == "text" ||
               type == "reasoning_text" || type == "summary_text") {
      out += member_text(content[i], "text", at);
    } else {
      wrong_value(at + ".type", "\"input_text\" (images, audio and files are not supported)", type);
    }
  }
  return out;
}

std::string reasoning_text(const Json& item, const std::string& place) {
  for (const char* name : {"content", "summary"}) {
    const auto member = item.find(name);
    if (member == item.end() || member->is_null()) continue;
    if (std::string text = text_of(*member, place + "." + name); !text.empty()) return text;
  }
  return "";
}

// The items of one turn of the assistant become one message.
class Dialogue {
 public:
  explicit Dialogue(Json messages) : out_(std::move(messages)) {}

  void add(const Json& item, const std::string& place) {
    const std::string type = type_of(item);
    if (type == "message") {
      add_message(item, place);
    } else if (type == "reasoning") {
      assistant()["reasoning_content"] = reasoning_text(item, place);
    } else if (type == "function_call") {
      add_call(item, place);
    } else if (type == "function_call_output") {
      add_output(item, place);
    } else {
      wrong_value(place + ".type",
                  "\"message\", \"function_call\", \"function_call_output\" or \"reasoning\"",
                  type);
    }
  }
  Json take() { return std::move(out_); }

 private:
  Json& assistant() {
    if (!in_turn_) out_.push_back({{"role", "assistant"}, {"content", ""}});
    in_turn_ = true;
    return out_.back();
  }
  void add_message(const Json& item, const std::string& place) {
    const std::string role = member_text(item, "role", place);
    const auto content = item.find("content");
    const std::string text = content == item.end() ? "" : text_of(*content, place + ".content");
    if (role == "assistant") {
      Json& message = assistant();
      message["content"] = message["content"].get<std::string>() + text;
      return;
    }
    if (role != "user" && role != "system" && role != "developer")
      wrong_value(place + ".role", "\"user\", \"assistant\", \"system\" or \"developer\"", role);
    in_turn_ = false;
    out_.push_back({{"role", role}, {"content", text}});
  }
  void add_call(const Json& item, const std::string& place) {
    const std::string id = member_text(item, "call_id", place);
    const std::string name = member_text(item, "name", place);
    names_[id] = name;
    assistant()["tool_calls"].push_back(
        {{"id", id},
         {"type", "function"},
         {"function", {{"name", name}, {"arguments", member_text(item, "arguments", place)}}}});
  }
  void add_output(const Json& item, const std::string& place) {
    const std::string id = member_text(item, "call_id", place);
    const auto output = item.find("output");
    Json message = {{"role", "tool"},
                    {"tool_call_id", id},
                    {"content", output == item.end() ? "" : text_of(*output, place + ".output")}};
    if (const auto name = names_.find(id); name != names_.end()) message["name"] = name->second;
    in_turn_ = false;
    out_.push_back(std::move(message));
  }

  Json out_;
  bool in_turn_ = false;  // the last message is the assistant's and takes more items
  std::map<std::string, std::string> names_;  // of the functions that were called, by call_id
};

// {"type": "function", "name", "description", "parameters", "strict"} in chat completions' form.
Json function_of(const Json& tool, const std::string& place) {
  if (!tool.is_object()) wrong_value(place, "an object", tool);
  if (text_or_empty(tool, "type") != "function")
    wrong_value(place + ".type", "\"function\" (tools of the server are not supported)",
                text_or_empty(tool, "type"));
  Json function = {{"name", member_text(tool, "name", place)}};
  for (const char* name : {"description", "parameters", "strict"})
    if (const auto member = tool.find(name); member != tool.end() && !member->is_null())
      function[name] = *member;
  return {{"type", "function"}, {"function", std::move(function)}};
}

// {"type": "allowed_tools", "mode", "tools": [{"type": "function", "name"}, …]}
void allow_tools(const Json& choice, ToolUse& use) {
  const auto allowed = choice.find("tools");
  if (allowed == choice.end() || !allowed->is_array())
    throw RequestError("tool_choice.tools", "tool_choice.tools: expected a list");
  if (allowed->size() > limits::kTools)
    throw RequestError("tool_choice.tools",
                       fmt::format("tool_choice.tools: {} tools, at most {} are taken",
                                   allowed->size(), limits::kTools));
  std::set<std::string> names;
  for (const Json& tool : *allowed)
    if (tool.is_object()) names.insert(text_or_empty(tool, "name"));
  Json kept = Json::array();
  for (const Json& tool : use.tools)
    if (names.contains(text_or_empty(tool["function"], "name"))) kept.push_back(tool);
  use.tools = kept.empty() ? Json(nullptr) : std::move(kept);
  if (text_or_empty(choice, "mode") == "required") use.choice = ToolUse::Choice::kRequired;
}

}  // namespace

Json input_items(const Fields& fields) {
  const Json* input = fields.find("input");
  if (!input) throw RequestError("input", "input: it is missing");
  if (input->is_string())
    return Json::array({{{"type", "message"}, {"role", "user"}, {"content", *input}}});
  if (!input->is_array()) wrong_value("input", "a string or a list of items", *input);
  if (input->size() > limits::kMessages)
    throw RequestError("input", fmt::format("input: {} items, at most {} are taken", input->size(),
                                            limits::kMessages));
  for (size_t i = 0; i < input->size(); ++i)
    if (!(*input)[i].is_object()) wrong_value(fmt::format("input[{}]", i), "an item", (*input)[i]);
  return *input;
}

Json messages_of_items(const std::string& instructions, const Json& items) {
  Json first = Json::array();
  if (!instructions.empty()) first.push_back({{"role", "system"}, {"content", instructions}});
  Dialogue dialogue(std::move(first));
  for (size_t i = 0; i < items.size(); ++i) dialogue.add(items[i], fmt::format("input[{}]", i));
  return dialogue.take();
}

ToolUse responses_tool_fields(const Fields& fields) {
  ToolUse use;
  use.tools = converted_tools(fields, function_of);
  use.parallel = fields.boolean("parallel_tool_calls", true);
  check_tools(use);
  if (const Json* choice = fields.find("tool_choice")) {
    if (choice->is_object() && text_or_empty(*choice, "type") == "allowed_tools") {
      allow_tools(*choice, use);
    } else {
      read_tool_choice(*choice, use);
    }
  }
  check_tools(use);
  return use;
}

}  // namespace mica

#include "server/anthropic_messages.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "server/limits.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

// Blocks are apart in the prompt as they were in the request.
void add_line(std::string& text, const std::string& more) {
  if (!text.empty() && !more.empty()) text += '\n';
  text += more;
}

[[noreturn]] void refuse_block(const std::string& type, const std::string& place) {
  wrong_value(place + ".type",
              "a block of text, thinking or tools (images, audio and files are not supported)",
              type);
}

std::string document_text(const Json& block, const std::string& place) {
  const auto source = block.find("source");
  if (source == block.end() || !source->is_object() || text_or_empty(*source, "type") != "text")
    throw RequestError(place + ".source", place + ".source: only documents of text are supported");
  return member_text(*source, "data", place + ".source");
}

// A string, or a list of blocks that are text.
std::string plain_text(const Json& content, const std::string& place) {
  if (content.is_null()) return "";
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) wrong_value(place, "a string or a list of blocks", content);
  std::string out;
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", place, i);
    if (!content[i].is_object()) wrong_value(at, "a block", content[i]);
    const std::string type = member_text(content[i], "type", at);
    if (type == "document") {
      add_line(out, document_text(content[i], at));
    } else if (type == "text") {
      add_line(out, member_text(content[i], "text", at));
    } else {
      refuse_block(type, at);
    }
  }
  return out;
}

class Conversation {
 public:
  explicit Conversation(Json messages) : out_(std::move(messages)) {}

  void add(const Json& message, const std::string& place) {
    if (!message.is_object()) wrong_value(place, "an object with role and content", message);
    const std::string role = member_text(message, "role", place);
    if (role != "user" && role != "assistant" && role != "system")
      wrong_value(place + ".role", "\"user\" or \"assistant\"", role);
    const auto content = message.find("content");
    if (content == message.end())
      throw RequestError(place + ".content", place + ".content: it is missing");
    if (!content->is_array()) return add_text(role, plain_text(*content, place + ".content"));
    for (size_t i = 0; i < content->size(); ++i)
      add_block(role, (*content)[i], fmt::format("{}.content[{}]", place, i));
    if (content->empty()) add_text(role, "");
  }
  Json take() { return std::move(out_); }

 private:
  void add_block(const std::string& role, const Json& block, const std::string& place) {
    if (!block.is_object()) wrong_value(place, "a block", block);
    const std::string type = member_text(block, "type", place);
    const bool assistant = role == "assistant";
    if (type == "text") {
      add_text(role, member_text(block, "text", place));
    } else if (type == "document" && !assistant) {
      add_text(role, document_text(block, place));
    } else if (type == "thinking" && assistant) {
      const std::string thinking = member_text(block, "thinking", place);
      Json& message = last_of(role);
      std::string text = text_or_empty(message, "reasoning_content");
      add_line(text, thinking);
      message["reasoning_content"] = std::move(text);
    } else if (type == "redacted_thinking" && assistant) {
      last_of(role);
    } else if (type == "tool_use" && assistant) {
      add_call(block, place);
    } else if (type == "tool_result" && role == "user") {
      add_result(block, place);
    } else {
      refuse_block(type, place);
    }
  }
  // Consecutive turns of one role are one turn.
  Json& last_of(const std::string& role) {
    if (out_.empty() || out_.back()["role"] != role)
      out_.push_back({{"role", role}, {"content", ""}});
    return out_.back();
  }
  void add_text(const std::string& role, const std::string& text) {
    Json& message = last_of(role);
    std::string content = message["content"].get<std::string>();
    add_line(content, text);
    message["content"] = std::move(content);
  }
  void add_call(const Json& block, const std::string& place) {
    const std::string id = member_text(block, "id", place);
    const std::string name = member_text(block, "name", place);
    names_[id] = name;
    const auto input = block.find("input");
    if (input != block.end() && !input->is_object())
      wrong_value(place + ".input", "an object", *input);
    Json& message = last_of("assistant");
    message["tool_calls"].push_back(
        {{"id", id},
         {"type", "function"},
         {"function",
          {{"name", name}, {"arguments", input == block.end() ? Json::object() : *input}}}});
  }
  void add_result(const Json& block, const std::string& place) {
    const std::string id = member_text(block, "tool_use_id", place);
    const auto content = block.find("content");
    Json message = {
        {"role", "tool"},
        {"tool_call_id", id},
        {"content", content == block.end() ? "" : plain_text(*content, place + ".content")}};
    if (const auto name = names_.find(id); name != names_.end()) message["name"] = name->second;
    out_.push_back(std::move(message));
  }

  Json out_;
  std::map<std::string, std::string> names_;  // of the tools that were called, by id
};

Json function_of(const Json& tool, const std::string& place) {
  if (!tool.is_object()) wrong_value(place, "an object", tool);
  if (const auto type = tool.find("type");
      type != tool.end() && !type->is_null() && *type != "custom")
    wrong_value(place + ".type", "\"custom\" (tools of the server are not supported)", *type);
  const auto schema = tool.find("input_schema");
  if (schema == tool.end() || !schema->is_object())
    throw RequestError(place + ".input_schema", place + ".input_schema: expected an object");
  Json function = {{"name", member_text(tool, "name", place)},
                   {"description", text_or_empty(tool, "description")},
                   {"parameters", *schema}};
  if (is_true(tool, "strict")) function["strict"] = true;
  return {{"type", "function"}, {"function", std::move(function)}};
}

}  // namespace

Json anthropic_messages(const Fields& fields) {
  const Json* messages = fields.find("messages");
  if (!messages) throw RequestError("messages", "messages: it is missing");
  if (!messages->is_array() || messages->empty())
    wrong_value("messages", "a list of at least one message", *messages);
  if (messages->size() > limits::kMessages)
    throw RequestError("messages", fmt::format("messages: {} messages, at most {} are taken",
                                               messages->size(), limits::kMessages));
  Json first = Json::array();
  if (const Json* system = fields.find("system"))
    if (std::string text = plain_text(*system, "system"); !text.empty())
      first.push_back({{"role", "system"}, {"content", std::move(text)}});
  Conversation conversation(std::move(first));
  for (size_t i = 0; i < messages->size(); ++i)
    conversation.add((*messages)[i], fmt::format("messages[{}]", i));
  return conversation.take();
}

ToolUse anthropic_tool_fields(const Fields& fields) {
  ToolUse use;
  use.tools = converted_tools(fields, function_of);
  const Json* choice = fields.find("tool_choice");
  if (choice) {
    if (!choice->is_object()) wrong_value("tool_choice", "an object with a type", *choice);
    const std::string type = member_text(*choice, "type", "tool_choice");
    if (type == "none") {
      use.choice = ToolUse::Choice::kNone;
    } else if (type == "any") {
      use.choice = ToolUse::Choice::kRequired;
    } else if (type == "tool") {
      use.choice = ToolUse::Choice::kNamed;
      use.name = member_text(*choice, "name", "tool_choice");
    } else if (type != "auto") {
      wrong_value("tool_choice.type", "\"auto\", \"any\", \"tool\" or \"none\"", type);
    }
    use.parallel = !Fields(*choice).boolean("disable_parallel_tool_use", false);
  }
  check_tools(use);
  return use;
}

}  // namespace mica

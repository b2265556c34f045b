// Messages of a chat request, as templates expect them.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/json_fields.h"
#include "server/limits.h"
#include "server/openai_request.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

std::string part_text(const Json& part, const std::string& place) {
  if (!part.is_object()) wrong_value(place, "an object with type and text", part);
  const auto type = part.find("type");
  if (type == part.end() || !type->is_string())
    throw RequestError(place + ".type", place + ".type: expected \"text\"; it is missing");
  if (*type == "refusal") return text_or_empty(part, "refusal");
  if (*type != "text" && *type != "input_text" && *type != "output_text")
    wrong_value(place + ".type", "\"text\" (images, audio and files are not supported)", *type);
  const auto text = part.find("text");
  if (text == part.end() || !text->is_string())
    throw RequestError(place + ".text", place + ".text: expected a string");
  return text->get<std::string>();
}

std::string content_text(const Json& message, const std::string& place) {
  const auto content = message.find("content");
  if (content == message.end() || content->is_null()) return "";
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) wrong_value(place, "a string, null or a list of text parts", *content);
  std::string text;
  for (size_t i = 0; i < content->size(); ++i)
    text += part_text((*content)[i], fmt::format("{}[{}]", place, i));
  return text;
}

// Clients send arguments as a JSON text, templates iterate over them. What is no object stays.
void decode_arguments(Json& call) {
  const auto arguments = call.find("arguments");
  if (arguments == call.end() || !arguments->is_string()) return;
  const std::string text = arguments->get<std::string>();
  try {
    *arguments = text.empty() ? Json::object() : parse_json_body(text);
  } catch (const RequestError&) {
    // A model wrote it; the conversation goes on with the text as it is.
  }
}

void normalize_tool_calls(Json& message, const std::string& place) {
  const auto calls = message.find("tool_calls");
  if (calls == message.end()) return;
  if (calls->is_null()) {
    message.erase("tool_calls");
    return;
  }
  if (!calls->is_array()) wrong_value(place, "a list", *calls);
  for (size_t i = 0; i < calls->size(); ++i) {
    Json& call = (*calls)[i];
    const std::string at = fmt::format("{}[{}]", place, i);
    if (!call.is_object()) wrong_value(at, "an object", call);
    const auto function = call.find("function");
    if (function == call.end()) continue;
    if (!function->is_object()) wrong_value(at + ".function", "an object", *function);
    decode_arguments(*function);
  }
}

}  // namespace

Json normal_messages(const Json& messages, bool knows_developer) {
  if (!messages.is_array()) wrong_value("messages", "a list of messages", messages);
  if (messages.empty())
    throw RequestError("messages", "messages: expected at least one message, the list is empty");
  if (messages.size() > limits::kMessages)
    throw RequestError("messages", fmt::format("messages: {} messages, at most {} are taken",
                                               messages.size(), limits::kMessages));
  Json out = Json::array();
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string place = fmt::format("messages[{}]", i);
    if (!messages[i].is_object())
      wrong_value(place, "an object with role and content", messages[i]);
    Json message = messages[i];
    const auto role = message.find("role");
    if (role == message.end() || !role->is_string())
      throw RequestError(place + ".role", place + ".role: expected a string");
    if (*role == "developer" && !knows_developer) *role = "system";
    std::string text = content_text(message, place + ".content");
    message["content"] = std::move(text);
    normalize_tool_calls(message, place + ".tool_calls");
    // vLLM's name for what templates read as reasoning_content.
    const auto reasoning = message.find("reasoning");
    if (reasoning != message.end() && reasoning->is_string() &&
        !message.contains("reasoning_content"))
      message["reasoning_content"] = *reasoning;
    out.push_back(std::move(message));
  }
  return out;
}

}  // namespace mica

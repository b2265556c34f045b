#include "bench/client/request_body.h"

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"

namespace mica {

using Json = nlohmann::ordered_json;

namespace {

Json part_json(const ContentPart& part) {
  if (part.image_url.empty()) return {{"type", "text"}, {"text", part.text}};
  return {{"type", "image_url"}, {"image_url", {{"url", part.image_url}}}};
}

// One text is a plain string: servers without images know nothing else.
Json content_json(const std::vector<ContentPart>& parts) {
  if (parts.size() == 1 && parts[0].image_url.empty()) return parts[0].text;
  Json out = Json::array();
  for (const ContentPart& part : parts) out.push_back(part_json(part));
  return out;
}

Json messages_json(const std::vector<ChatMessage>& messages) {
  Json out = Json::array();
  for (const ChatMessage& message : messages)
    out.push_back({{"role", message.role}, {"content", content_json(message.parts)}});
  return out;
}

void check(const PlanDialect& dialect, const RequestContent& content) {
  const int asked =
      !content.messages.empty() + content.prompt.has_value() + !content.tokens.empty();
  if (asked != 1)
    throw Error(ErrorKind::kUsage,
                "[request] expected messages, a prompt or tokens, found {} of them", asked);
  if (!content.tokens.empty() && !dialect.token_prompts)
    throw Error(ErrorKind::kUsage,
                "[request] this backend takes no prompts of token ids; use text or messages");
}

Json json_value(const std::string& name, const std::string& text) {
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded())
    throw Error(ErrorKind::kUsage, "[request] field '{}': expected a JSON value, found '{}'", name,
                text);
  return value;
}

// The length and the seed, as far as the dialect goes.
void add_limits(const PlanDialect& dialect, const RequestContent& content, Json& json,
                std::vector<std::string>& left_out) {
  const auto add = [&](bool known, const char* name, const Json& value) {
    if (known) {
      json[name] = value;
    } else {
      left_out.push_back(name);
    }
  };
  if (content.max_tokens) json["max_tokens"] = *content.max_tokens;
  if (content.exact_length && content.max_tokens) {
    add(dialect.ignore_eos, "ignore_eos", true);
    add(dialect.min_tokens, "min_tokens", *content.max_tokens);
  }
  if (content.seed) add(dialect.seed, "seed", *content.seed);
}

void add_cache_control(const PlanDialect& dialect, const RequestContent& content, Json& json) {
  constexpr std::string_view kUnique = "{unique}";
  if (!content.no_cache || dialect.no_cache_field.empty()) return;
  std::string value = dialect.no_cache_value;
  const size_t at = value.find(kUnique);
  if (at != std::string::npos) value.replace(at, kUnique.size(), content.unique);
  json[dialect.no_cache_field] = json_value(dialect.no_cache_field, value);
}

}  // namespace

RequestBody request_body(const PlanDialect& dialect, const RequestContent& content) {
  check(dialect, content);
  RequestBody out;
  const bool chat = !content.messages.empty();
  out.path = chat ? dialect.chat : dialect.completions;
  Json json = {{"model", content.model}};
  if (chat) {
    json["messages"] = messages_json(content.messages);
  } else if (content.prompt) {
    json["prompt"] = *content.prompt;
  } else {
    json["prompt"] = content.tokens;
  }
  json["stream"] = content.stream;
  if (content.stream && dialect.stream_usage) json["stream_options"] = {{"include_usage", true}};
  add_limits(dialect, content, json, out.left_out);
  add_cache_control(dialect, content, json);
  for (const auto& [name, value] : content.fields) json[name] = json_value(name, value);
  out.json = json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
  return out;
}

}  // namespace mica

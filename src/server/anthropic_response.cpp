#include "server/anthropic_response.h"

#include <nlohmann/json.hpp>

#include "server/json_text.h"
#include "server/sse.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;
using Kind = AnswerPart::Kind;

const char* anthropic_type(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 503: return "overloaded_error";
    case 504: return "timeout_error";
    default: return status >= 500 ? "api_error" : "invalid_request_error";
  }
}

Json error_object(const ApiError& error) {
  return {{"type", "error"},
          {"error", {{"type", anthropic_type(error.status)}, {"message", error.message}}},
          {"request_id", nullptr}};
}

// Tokens from the cache are not among input_tokens.
Json usage_json(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.completion_tokens}};
}

Json stop_reason(const AnswerChoice& choice) {
  if (choice.finish_reason == "length") return "max_tokens";
  if (choice.finish_reason == "tool_calls") return "tool_use";
  return choice.stop_text.empty() ? "end_turn" : "stop_sequence";
}

Json stop_sequence(const AnswerChoice& choice) {
  return choice.stop_text.empty() ? Json(nullptr) : Json(choice.stop_text);
}

Json input_of(const std::string& arguments) {
  Json input = Json::parse(arguments, nullptr, /*allow_exceptions=*/false);
  return input.is_object() ? input : Json::object();
}

Json block_of(const AnswerPart& part, const AnswerChoice& choice) {
  if (part.kind == Kind::kReasoning)
    return {{"type", "thinking"}, {"thinking", part.text}, {"signature", new_id("mica_")}};
  if (part.kind == Kind::kToolBegin)
    return {{"type", "tool_use"},
            {"id", part.id},
            {"name", part.name},
            {"input", input_of(choice.arguments(part.tool))}};
  return {{"type", "text"}, {"text", part.text}};
}

class AnthropicFormat final : public AnswerFormat {
 public:
  explicit AnthropicFormat(std::string model) : model_(std::move(model)), id_(new_id("msg_")) {}

  std::string whole(std::span<const AnswerChoice> choices, const Account& account) override {
    const AnswerChoice& choice = choices.front();
    Json content = Json::array();
    for (const AnswerPart& part : choice.parts)
      if (part.kind != Kind::kToolArguments && part.kind != Kind::kToolEnd)
        content.push_back(block_of(part, choice));
    Json body = message(std::move(content), account);
    body["stop_reason"] = stop_reason(choice);
    body["stop_sequence"] = stop_sequence(choice);
    if (!choice.warning.empty()) body["warnings"] = {choice.warning};
    return to_text(body);
  }
  std::string begin(int32_t, const Account& account) override {
    return event("message_start", {{"message", message(Json::array(), account)}}) +
           event("ping", Json::object());
  }
  std::string delta(const AnswerChoice& news, const Account&) override {
    std::string out;
    for (const AnswerPart& part : news.parts) {
      if (part.kind == Kind::kToolEnd) {
        out += close_block();
        continue;
      }
      if (part.kind == Kind::kToolBegin || !open_ || open_kind_ != part.kind)
        if (part.kind != Kind::kToolArguments) out += open_block(part);
      if (part.kind != Kind::kToolBegin) out += block_delta(part);
    }
    return out;
  }
  std::string finish(const AnswerChoice& last, const Account& account) override {
    Json body = {
        {"delta", {{"stop_reason", stop_reason(last)}, {"stop_sequence", stop_sequence(last)}}},
        {"usage", usage_json(account.usage)}};
    if (!last.warning.empty()) body["warnings"] = {last.warning};
    return close_block() + event("message_delta", std::move(body));
  }
  std::string end(const Account&) override { return event("message_stop", Json::object()); }
  std::string stream_error(const ApiError& error) override {
    return sse_event("error", to_text(error_object(error)));
  }
  std::string keepalive() override { return event("ping", Json::object()); }
  HttpResponse error(const ApiError& error) override { return anthropic_error(error); }

 private:
  static std::string event(const char* type, const Json& members) {
    Json body = {{"type", type}};
    body.update(members);
    return sse_event(type, to_text(body));
  }
  Json message(Json content, const Account& account) const {
    return {{"id", id_},
            {"type", "message"},
            {"role", "assistant"},
            {"model", model_},
            {"content", std::move(content)},
            {"stop_reason", nullptr},
            {"stop_sequence", nullptr},
            {"usage", usage_json(account.usage)}};
  }
  std::string open_block(const AnswerPart& part) {
    std::string out = close_block();
    open_ = true;
    open_kind_ = part.kind;
    Json block;
    if (part.kind == Kind::kReasoning) {
      block = {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}};
    } else if (part.kind == Kind::kToolBegin) {
      block = {
          {"type", "tool_use"}, {"id", part.id}, {"name", part.name}, {"input", Json::object()}};
    } else {
      block = {{"type", "text"}, {"text", ""}};
    }
    return out +=
           event("content_block_start", {{"index", index_}, {"content_block", std::move(block)}});
  }
  std::string block_delta(const AnswerPart& part) const {
    switch (part.kind) {
      case Kind::kReasoning:
        return delta_event({{"type", "thinking_delta"}, {"thinking", part.text}});
      case Kind::kToolArguments:
        return delta_event({{"type", "input_json_delta"}, {"partial_json", part.text}});
      default: return delta_event({{"type", "text_delta"}, {"text", part.text}});
    }
  }
  std::string delta_event(Json delta) const {
    return event("content_block_delta", {{"index", index_}, {"delta", std::move(delta)}});
  }
  std::string close_block() {
    if (!open_) return "";
    open_ = false;
    std::string out;
    if (open_kind_ == Kind::kReasoning)
      out = delta_event({{"type", "signature_delta"}, {"signature", new_id("mica_")}});
    return out += event("content_block_stop", {{"index", index_++}});
  }

  const std::string model_, id_;
  int32_t index_ = 0;  // of the block that is open, or comes next
  bool open_ = false;
  Kind open_kind_ = Kind::kContent;
};

}  // namespace

std::unique_ptr<AnswerFormat> anthropic_format(const std::string& model) {
  return std::make_unique<AnthropicFormat>(model);
}

HttpResponse anthropic_error(const ApiError& error) {
  HttpResponse response = error_response(error);
  response.body = to_text(error_object(error));
  return response;
}

}  // namespace mica

#include "server/openai_response.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <random>

#include "server/sse.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

std::string new_id(const char* prefix) {
  static thread_local std::mt19937_64 random{(uint64_t{std::random_device{}()} << 32) |
                                             std::random_device{}()};
  return fmt::format("{}-{:016x}{:016x}", prefix, random(), random());
}

// JSON has no infinity; OpenAI writes -9999 for what is impossible.
Json number(float logprob) {
  return std::isfinite(logprob) ? Json(logprob) : Json(-9999.0);
}

bool is_utf8(const std::string& bytes) {
  try {
    (void)Json(bytes).dump();
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

// The name of a token where it must be one text and tell tokens apart.
std::string token_name(const std::string& bytes) {
  if (is_utf8(bytes)) return bytes;
  std::string out = "bytes:";
  for (const char c : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return out;
}

Json byte_list(const std::string& bytes) {
  Json list = Json::array();
  for (const char c : bytes) list.push_back(static_cast<unsigned char>(c));
  return list;
}

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

Json chat_logprobs(std::span<const ScoredToken> tokens) {
  Json content = Json::array();
  for (const ScoredToken& token : tokens) {
    Json top = Json::array();
    for (const auto& other : token.top)
      top.push_back({{"token", other.bytes},
                     {"logprob", number(other.logprob)},
                     {"bytes", byte_list(other.bytes)}});
    content.push_back({{"token", token.bytes},
                       {"logprob", number(token.logprob)},
                       {"bytes", byte_list(token.bytes)},
                       {"top_logprobs", std::move(top)}});
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json text_logprobs(std::span<const ScoredToken> tokens, bool with_top) {
  Json names = Json::array(), logprobs = Json::array(), offsets = Json::array();
  Json tops = with_top ? Json::array() : Json(nullptr);
  for (const ScoredToken& token : tokens) {
    names.push_back(token_name(token.bytes));
    logprobs.push_back(number(token.logprob));
    offsets.push_back(token.offset);
    if (!with_top) continue;
    Json top = Json::object();
    for (const auto& other : token.top) {
      Json& slot = top[token_name(other.bytes)];
      if (slot.is_null()) slot = number(other.logprob);  // the likelier of two with one text
    }
    tops.push_back(std::move(top));
  }
  return {{"tokens", std::move(names)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

// What both kinds of completions share; they differ in the objects of `choices`.
class OpenAiFormat : public AnswerFormat {
 public:
  OpenAiFormat(const GenerationFields& fields, const ServedModel& model, const char* prefix)
      : fields_(fields),
        fingerprint_(model.fingerprint),
        id_(new_id(prefix)),
        created_(static_cast<int64_t>(std::time(nullptr))) {}

  std::string whole(std::span<const AnswerChoice> choices, const Usage& usage) const override {
    Json list = Json::array();
    for (const AnswerChoice& choice : choices) list.push_back(whole_choice(choice));
    Json body = envelope(object(false), std::move(list));
    body["usage"] = usage_json(usage);
    return to_text(body);
  }
  std::string finish(int32_t index, const std::string& finish_reason) const override {
    return chunk(chunk_choice(index, "", {}, finish_reason));
  }
  std::string delta(int32_t index, const std::string& text,
                    std::span<const ScoredToken> tokens) const override {
    return chunk(chunk_choice(index, text, tokens, ""));
  }
  std::string end(const Usage& usage) const override {
    std::string out;
    if (fields_.include_usage) {
      Json body = envelope(object(true), Json::array());
      body["usage"] = usage_json(usage);
      out = sse_data(to_text(body));
    }
    return out += kSseDone;
  }
  std::string error(const ApiError& error) const override { return sse_data(error_json(error)); }

 protected:
  virtual const char* object(bool stream) const = 0;
  virtual Json whole_choice(const AnswerChoice& choice) const = 0;
  virtual Json chunk_choice(int32_t index, const std::string& text,
                            std::span<const ScoredToken> tokens,
                            const std::string& finish_reason) const = 0;

  std::string chunk(Json choice) const {
    Json list = Json::array();
    list.push_back(std::move(choice));
    Json body = envelope(object(true), std::move(list));
    if (fields_.include_usage) body["usage"] = nullptr;
    return sse_data(to_text(body));
  }
  static Json reason(const std::string& finish_reason) {
    return finish_reason.empty() ? Json(nullptr) : Json(finish_reason);
  }

  const GenerationFields fields_;

 private:
  Json envelope(const char* object, Json choices) const {
    return {{"id", id_},
            {"object", object},
            {"created", created_},
            {"model", fields_.model},
            {"system_fingerprint", fingerprint_},
            {"choices", std::move(choices)}};
  }

  const std::string fingerprint_, id_;
  const int64_t created_;
};

class ChatFormat final : public OpenAiFormat {
 public:
  ChatFormat(const GenerationFields& fields, const ServedModel& model)
      : OpenAiFormat(fields, model, "chatcmpl") {}

  std::string begin(int32_t choices) const override {
    std::string out;
    for (int32_t i = 0; i < choices; ++i)
      out += chunk(Json{{"index", i},
                        {"delta", {{"role", "assistant"}, {"content", ""}}},
                        {"logprobs", nullptr},
                        {"finish_reason", nullptr}});
    return out;
  }

 protected:
  const char* object(bool stream) const override {
    return stream ? "chat.completion.chunk" : "chat.completion";
  }
  Json whole_choice(const AnswerChoice& choice) const override {
    return {{"index", choice.index},
            {"message", {{"role", "assistant"}, {"content", choice.text}}},
            {"logprobs", fields_.logprobs ? chat_logprobs(choice.tokens) : Json(nullptr)},
            {"finish_reason", choice.finish_reason}};
  }
  Json chunk_choice(int32_t index, const std::string& text, std::span<const ScoredToken> tokens,
                    const std::string& finish_reason) const override {
    Json delta = Json::object();
    if (finish_reason.empty()) delta["content"] = text;
    return {{"index", index},
            {"delta", std::move(delta)},
            {"logprobs", tokens.empty() ? Json(nullptr) : chat_logprobs(tokens)},
            {"finish_reason", reason(finish_reason)}};
  }
};

class TextFormat final : public OpenAiFormat {
 public:
  TextFormat(const GenerationFields& fields, const ServedModel& model)
      : OpenAiFormat(fields, model, "cmpl") {}

  std::string begin(int32_t) const override { return ""; }

 protected:
  const char* object(bool) const override { return "text_completion"; }
  Json whole_choice(const AnswerChoice& choice) const override {
    return {{"index", choice.index},
            {"text", choice.text},
            {"logprobs", fields_.logprobs ? text_logprobs(choice.tokens, fields_.top_logprobs > 0)
                                          : Json(nullptr)},
            {"finish_reason", choice.finish_reason}};
  }
  Json chunk_choice(int32_t index, const std::string& text, std::span<const ScoredToken> tokens,
                    const std::string& finish_reason) const override {
    return {{"index", index},
            {"text", text},
            {"logprobs",
             tokens.empty() ? Json(nullptr) : text_logprobs(tokens, fields_.top_logprobs > 0)},
            {"finish_reason", reason(finish_reason)}};
  }
};

}  // namespace

std::unique_ptr<AnswerFormat> chat_format(const GenerationFields& fields,
                                          const ServedModel& model) {
  return std::make_unique<ChatFormat>(fields, model);
}

std::unique_ptr<AnswerFormat> text_format(const GenerationFields& fields,
                                          const ServedModel& model) {
  return std::make_unique<TextFormat>(fields, model);
}

}  // namespace mica

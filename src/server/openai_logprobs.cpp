#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "server/json_text.h"
#include "server/openai_response.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no infinity; OpenAI writes -9999 for what is impossible.
Json number(std::optional<float> logprob) {
  if (!logprob) return nullptr;
  return std::isfinite(*logprob) ? Json(*logprob) : Json(-9999.0);
}

// The name of a token where it must be one text and tell tokens apart.
std::string token_name(int32_t id, const std::string& bytes, bool as_ids) {
  if (as_ids) return fmt::format("token_id:{}", id);
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

template <typename Token>
Json chat_token(const Token& token, bool as_ids) {
  return {{"token", as_ids ? token_name(token.id, "", true) : token.bytes},
          {"logprob", number(token.logprob)},
          {"bytes", byte_list(token.bytes)}};
}

// The first `top`, by name; of two with one name the likelier.
Json alternatives(const ScoredToken& token, int32_t top, bool as_ids) {
  Json out = Json::object();
  for (size_t i = 0; i < token.top.size() && i < static_cast<size_t>(top); ++i) {
    Json& slot = out[token_name(token.top[i].id, token.top[i].bytes, as_ids)];
    if (slot.is_null()) slot = number(token.top[i].logprob);
  }
  return out;
}

template <typename Token>
Json prompt_entry(const Token& token, Json rank) {
  return {{"logprob", number(token.logprob)},
          {"rank", std::move(rank)},
          {"decoded_token", token.bytes}};
}

}  // namespace

Json chat_logprobs(std::span<const ScoredToken> tokens, bool as_ids) {
  Json content = Json::array();
  for (const ScoredToken& token : tokens) {
    Json top = Json::array();
    for (const auto& other : token.top) top.push_back(chat_token(other, as_ids));
    content.push_back(chat_token(token, as_ids));
    content.back()["top_logprobs"] = std::move(top);
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json text_logprobs(std::span<const ScoredToken> prompt, std::span<const ScoredToken> tokens,
                   int32_t top, bool as_ids) {
  Json names = Json::array(), logprobs = Json::array(), offsets = Json::array();
  Json tops = top > 0 ? Json::array() : Json(nullptr);
  const auto add = [&](const ScoredToken& token) {
    names.push_back(token_name(token.id, token.bytes, as_ids));
    logprobs.push_back(number(token.logprob));
    offsets.push_back(token.offset);
    if (top > 0) tops.push_back(token.logprob ? alternatives(token, top, as_ids) : Json(nullptr));
  };
  for (const ScoredToken& token : prompt) add(token);
  for (const ScoredToken& token : tokens) add(token);
  return {{"tokens", std::move(names)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

Json prompt_logprobs(std::span<const ScoredToken> prompt, int32_t top) {
  Json list = Json::array();
  for (const ScoredToken& token : prompt) {
    if (!token.logprob) {
      list.push_back(nullptr);
      continue;
    }
    Json entries = Json::object();
    entries[std::to_string(token.id)] = prompt_entry(token, nullptr);
    for (size_t i = 0; i < token.top.size() && i < static_cast<size_t>(top); ++i)
      entries[std::to_string(token.top[i].id)] = prompt_entry(token.top[i], i + 1);
    list.push_back(std::move(entries));
  }
  return list;
}

}  // namespace mica

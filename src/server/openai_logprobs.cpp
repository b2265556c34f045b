#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "server/json_text.h"
#include "server/openai_response.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no infinity; OpenAI writes -9999 for what is impossible.
Json number(float logprob) {
  return std::isfinite(logprob) ? Json(logprob) : Json(-9999.0);
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

Json text_logprobs(std::span<const ScoredToken> tokens, bool with_top, bool as_ids) {
  Json names = Json::array(), logprobs = Json::array(), offsets = Json::array();
  Json tops = with_top ? Json::array() : Json(nullptr);
  for (const ScoredToken& token : tokens) {
    names.push_back(token_name(token.id, token.bytes, as_ids));
    logprobs.push_back(number(token.logprob));
    offsets.push_back(token.offset);
    if (!with_top) continue;
    Json top = Json::object();
    for (const auto& other : token.top) {
      Json& slot = top[token_name(other.id, other.bytes, as_ids)];
      if (slot.is_null()) slot = number(other.logprob);  // the likelier of two with one text
    }
    tops.push_back(std::move(top));
  }
  return {{"tokens", std::move(names)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

}  // namespace mica

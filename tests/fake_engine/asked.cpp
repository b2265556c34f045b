#include "fake_engine/asked.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string_view>

#include "base/mix.h"

namespace mica::fake {

using Json = nlohmann::json;

namespace {

constexpr int64_t kBlock = 16, kMessageTokens = 4;

// Those of TensorRT-LLM 1.x's protocol classes that a workbench may send.
const std::set<std::string> kStrictFields = {"model",
                                             "messages",
                                             "prompt",
                                             "stream",
                                             "stream_options",
                                             "max_tokens",
                                             "max_completion_tokens",
                                             "temperature",
                                             "top_p",
                                             "top_k",
                                             "min_p",
                                             "seed",
                                             "stop",
                                             "stop_token_ids",
                                             "ignore_eos",
                                             "min_tokens",
                                             "repetition_penalty",
                                             "frequency_penalty",
                                             "presence_penalty",
                                             "logprobs",
                                             "top_logprobs",
                                             "n",
                                             "user",
                                             "tools",
                                             "tool_choice",
                                             "response_format",
                                             "chat_template_kwargs",
                                             "cache_salt",
                                             "priority",
                                             "logit_bias",
                                             "thinking_token_budget",
                                             "echo",
                                             "parallel_tool_calls"};

uint64_t hash_of(std::string_view text, uint64_t seed) {
  for (const char c : text) seed = mix64(seed ^ static_cast<unsigned char>(c));
  return mix64(seed + text.size());
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> out;
  for (std::string word; stream >> word;) out.push_back(word);
  return out;
}

void add_part(const Json& part, std::string& text) {
  if (part.is_string()) text += part.get<std::string>() + "\n";
  if (!part.is_object()) return;
  if (part.contains("text")) text += part.value("text", "") + "\n";
  if (part.contains("image_url")) text += part["image_url"].dump() + "\n";
}

void read_messages(const Json& messages, Asked& asked) {
  for (const Json& message : messages) {
    asked.prompt_tokens += kMessageTokens;
    const auto content = message.find("content");
    if (content == message.end()) continue;
    if (content->is_array()) {
      for (const Json& part : *content) add_part(part, asked.prompt);
    } else {
      add_part(*content, asked.prompt);
    }
  }
}

void read_prompt(const Json& prompt, Asked& asked) {
  if (prompt.is_string()) {
    asked.prompt = prompt.get<std::string>();
  } else if (prompt.is_array()) {
    for (const Json& item : prompt)
      asked.prompt += (item.is_string() ? item.get<std::string>() : item.dump()) + " ";
  }
}

// Chained, so that a block is found only behind the same beginning.
void add_blocks(const std::string& salt, Asked& asked) {
  uint64_t chain = hash_of(salt, 1);
  int64_t in_block = 0;
  for (const std::string& word : words_of(asked.prompt)) {
    chain = hash_of(word, chain);
    if (++in_block % kBlock == 0) asked.blocks.push_back(chain);
  }
  asked.prompt_tokens += in_block;
}

std::optional<Refusal> refuse(const Script& script, int status, const std::string& message) {
  return Refusal{status, error_body(script.dialect, status, message)};
}

std::optional<Refusal> check_fields(const Script& script, const Json& json) {
  if (!script.strict_fields && script.dialect != Dialect::kTrtLlm) return std::nullopt;
  for (const auto& [key, value] : json.items())
    if (!kStrictFields.count(key))
      return refuse(
          script, 400,
          fmt::format("[{{'type': 'extra_forbidden', 'loc': ('body', '{}'), 'msg': 'Extra "
                      "inputs are not permitted'}}]",
                      key));
  return std::nullopt;
}

int64_t whole(const Json& json, const char* key, int64_t missing) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_integer() ? found->get<int64_t>() : missing;
}

bool flag(const Json& json, const char* key, bool missing) {
  const auto found = json.find(key);
  return found != json.end() && found->is_boolean() ? found->get<bool>() : missing;
}

void read_options(const Script& script, const Json& json, Asked& asked) {
  asked.stream = flag(json, "stream", false);
  asked.max_tokens = whole(json, "max_completion_tokens", whole(json, "max_tokens", 16));
  const bool exact = script.dialect != Dialect::kMlx;
  asked.ignore_eos = exact && script.dialect != Dialect::kTabby && flag(json, "ignore_eos", false);
  asked.min_tokens =
      exact && script.dialect != Dialect::kLlamaCpp ? whole(json, "min_tokens", 0) : 0;
  asked.may_cache = flag(json, "cache_prompt", true);
  // TensorRT-LLM counts unless told otherwise.
  asked.wants_usage = !asked.stream || script.dialect == Dialect::kTrtLlm;
  const auto options = json.find("stream_options");
  if (options != json.end() && options->is_object())
    asked.wants_usage |= flag(*options, "include_usage", false);
}

}  // namespace

std::string error_body(Dialect dialect, int status, const std::string& message) {
  const char* type = status == 400   ? "BadRequestError"
                     : status == 404 ? "NotFoundError"
                     : status == 503 ? "unavailable_error"
                                     : "InternalServerError";
  const Json error = {{"message", message}, {"type", type}, {"code", status}};
  if (dialect == Dialect::kTrtLlm || dialect == Dialect::kSglang) {
    Json flat = error;
    flat["object"] = "error";
    return flat.dump();
  }
  if (dialect == Dialect::kMlx) return Json{{"error", message}}.dump();
  return Json{{"error", error}}.dump();
}

std::optional<Refusal> read_request(const Script& script, bool chat, const std::string& body,
                                    Asked& asked) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return refuse(script, 400, "the body is no JSON object");
  if (auto refusal = check_fields(script, json)) return refusal;
  asked.chat = chat;
  const auto prompt = json.find(chat ? "messages" : "prompt");
  if (prompt == json.end() || (chat && !prompt->is_array()))
    return refuse(script, 400, chat ? "messages: Field required" : "prompt: Field required");
  if (chat) {
    read_messages(*prompt, asked);
  } else {
    read_prompt(*prompt, asked);
  }
  const auto salt = json.find("cache_salt");
  add_blocks(salt != json.end() && salt->is_string() ? salt->get<std::string>() : "", asked);
  read_options(script, json, asked);
  const auto model = json.find("model");
  if (model != json.end() && model->is_string() && *model != script.model &&
      (script.dialect == Dialect::kVllm || script.dialect == Dialect::kMica))
    return refuse(script, 404,
                  fmt::format("The model `{}` does not exist.", model->get<std::string>()));
  if (asked.prompt_tokens + asked.max_tokens > script.max_context)
    return refuse(
        script, 400,
        fmt::format("This model's maximum context length is {} tokens. However, you "
                    "requested {} output tokens and your prompt contains {} input tokens.",
                    script.max_context, asked.max_tokens, asked.prompt_tokens));
  return std::nullopt;
}

AnswerTokens::AnswerTokens(const Script& script, const Asked& asked, const Fault* fault)
    : script_(script) {
  seed_ = hash_of(asked.prompt, static_cast<uint64_t>(script.seed));
  if (script.answer.vary) seed_ = mix64(seed_ + static_cast<uint64_t>(asked.number) + 1);
  std::string text = script.answer.text;
  for (const CannedText& canned : script.answer.texts)
    if (asked.prompt.find(canned.contains) != std::string::npos) {
      text = canned.text;
      break;
    }
  canned_ = words_of(text);
  int64_t wanted = script.answer.tokens > 0 ? script.answer.tokens : asked.max_tokens;
  if (!canned_.empty()) wanted = static_cast<int64_t>(canned_.size());
  if (asked.ignore_eos) wanted = asked.max_tokens;
  count_ = std::min(std::max(wanted, asked.min_tokens), asked.max_tokens);
  const std::string kind = fault ? fault->kind : "";
  if (kind == "short") count_ = std::min(count_, fault->tokens);
  if (kind == "empty") count_ = 0;
  endless_ = kind == "endless";
  reasoning_ = std::min(script.answer.reasoning_tokens, count_);
  const bool tool = script.answer.tool_call && asked.chat;
  finish_reason_ = tool ? "tool_calls" : count_ >= asked.max_tokens ? "length" : "stop";
}

// Two or three syllables by the hash: " sorane".
Token AnswerTokens::at(int64_t index) const {
  constexpr std::string_view kConsonants = "bdfgklmnprstvz", kVowels = "aeiou";
  Token token;
  if (index < reasoning_) {
    token.part = Part::kReasoning;
  } else if (script_.answer.tool_call) {
    token.part = Part::kTool;
  }
  if (!canned_.empty()) {
    token.text = (index > 0 ? " " : "") + canned_[static_cast<size_t>(index) % canned_.size()];
    return token;
  }
  uint64_t random = random_word(seed_, script_.answer.same_word ? 0 : static_cast<uint64_t>(index));
  if (index > 0) token.text = ' ';
  for (uint64_t syllables = 2 + random % 2; syllables > 0; --syllables) {
    random = mix64(random);
    token.text += kConsonants[random % kConsonants.size()];
    token.text += kVowels[(random >> 32) % kVowels.size()];
  }
  return token;
}

}  // namespace mica::fake

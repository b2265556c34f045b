#include "fake_engine/chunk_text.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace mica::fake {

using Json = nlohmann::json;

namespace {

std::string quoted(const std::string& text) {
  return Json(text).dump();
}

std::string joined(std::span<const Token> tokens, Part part) {
  std::string text;
  for (const Token& token : tokens)
    if (token.part == part) text += token.text;
  return text;
}

}  // namespace

ChunkText::ChunkText(const Script& script, const Asked& asked) : script_(script), asked_(asked) {
  const char* object =
      asked.chat ? (asked.stream ? "chat.completion.chunk" : "chat.completion") : "text_completion";
  head_ = fmt::format(R"({{"id":"{}-{:08x}","object":"{}","created":1750000000,"model":{})",
                      asked.chat ? "chatcmpl" : "cmpl", asked.number, object, quoted(script.model));
}

// delta: members of a chat's delta or of a completion's choice.
std::string ChunkText::chunk(const std::string& delta, const std::string& reason,
                             const std::string& more) const {
  const std::string finish = reason.empty() ? "null" : quoted(reason);
  return asked_.chat
             ? fmt::format(
                   R"({},"choices":[{{"index":0,"delta":{{{}}},"logprobs":null,"finish_reason":{}}}]{}}})",
                   head_, delta, finish, more)
             : fmt::format(
                   R"({},"choices":[{{"index":0,{},"logprobs":null,"finish_reason":{}}}]{}}})",
                   head_, delta.empty() ? R"("text":"")" : delta, finish, more);
}

std::string ChunkText::role() const {
  return chunk(asked_.chat ? R"("role":"assistant","content":"")" : "", "");
}

std::string ChunkText::tokens(std::span<const Token> tokens, bool first) const {
  const Part part = tokens.front().part;
  const std::string text = joined(tokens, part);
  if (!asked_.chat) return chunk(R"("text":)" + quoted(text), "");
  if (part == Part::kReasoning)
    return chunk(fmt::format("{}:{}", quoted(script_.answer.reasoning_field), quoted(text)), "");
  if (part == Part::kAnswer) return chunk(R"("content":)" + quoted(text), "");
  const std::string name = first ? R"("name":"look_up",)" : "";
  const std::string id = first ? R"("id":"call-1","type":"function",)" : "";
  return chunk(fmt::format(R"("tool_calls":[{{"index":0,{}"function":{{{}"arguments":{}}}}}])", id,
                           name, quoted(text)),
               "");
}

std::string ChunkText::usage_json(const UsageCounts& counts) const {
  std::string out =
      fmt::format(R"({{"prompt_tokens":{},"total_tokens":{},"completion_tokens":{})", counts.prompt,
                  counts.prompt + counts.completion, counts.completion);
  if (counts.cached >= 0)
    out += fmt::format(R"(,"prompt_tokens_details":{{"cached_tokens":{}}})", counts.cached);
  if (counts.reasoning > 0)
    out += script_.dialect == Dialect::kSglang
               ? fmt::format(R"(,"reasoning_tokens":{})", counts.reasoning)
               : fmt::format(R"(,"completion_tokens_details":{{"reasoning_tokens":{}}})",
                             counts.reasoning);
  return out + "}";
}

std::string ChunkText::timings(const UsageCounts& counts) const {
  const int64_t cached = counts.cached < 0 ? 0 : counts.cached;
  return fmt::format(
      R"(,"timings":{{"cache_n":{},"prompt_n":{},"prompt_ms":{},"predicted_n":{},"predicted_ms":{}}})",
      cached, counts.prompt - cached, counts.prefill_ms, counts.completion, counts.decode_ms);
}

std::string ChunkText::finish(const std::string& reason, const UsageCounts& counts) const {
  return chunk("", reason, script_.dialect == Dialect::kLlamaCpp ? timings(counts) : "");
}

std::string ChunkText::usage(const UsageCounts& counts) const {
  return fmt::format(R"({},"choices":[],"usage":{}}})", head_, usage_json(counts));
}

std::string ChunkText::error(const std::string& message) const {
  return error_body(script_.dialect, 500, message);
}

std::string ChunkText::whole(std::span<const Token> tokens, const std::string& reason,
                             const UsageCounts& counts) const {
  const std::string answer = quoted(joined(tokens, Part::kAnswer));
  const std::string reasoning = joined(tokens, Part::kReasoning);
  const std::string call = joined(tokens, Part::kTool);
  std::string choice = R"("text":)" + answer;
  if (asked_.chat) {
    choice = fmt::format(R"("message":{{"role":"assistant","content":{})", answer);
    if (!reasoning.empty())
      choice += fmt::format(",{}:{}", quoted(script_.answer.reasoning_field), quoted(reasoning));
    if (!call.empty())
      choice += fmt::format(
          R"(,"tool_calls":[{{"id":"call-1","type":"function","function":{{"name":"look_up","arguments":{}}}}}])",
          quoted(call));
    choice += "}";
  }
  return fmt::format(R"({},"choices":[{{"index":0,{},"finish_reason":{}}}],"usage":{}{}}})", head_,
                     choice, quoted(reason), usage_json(counts),
                     script_.dialect == Dialect::kLlamaCpp ? timings(counts) : "");
}

}  // namespace mica::fake

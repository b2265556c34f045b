#include "bench/client/chunk_reader.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <utility>

#include "bench/client/foreign_text.h"

namespace mica {
namespace dom = simdjson::dom;

namespace {

bool present(simdjson::simdjson_result<dom::element> value) {
  return value.error() == simdjson::SUCCESS && !value.is_null();
}

std::string_view text_of(const dom::object& object, std::string_view key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS ? text : std::string_view();
}

// Whole numbers from 0; some servers write them as 12.0.
int64_t count_of(const dom::object& object, std::string_view key) {
  int64_t whole = 0;
  if (object[key].get(whole) == simdjson::SUCCESS)
    return whole >= 0 ? whole : RequestSample::kUnknown;
  double number = 0;
  if (object[key].get(number) == simdjson::SUCCESS && number >= 0 && number < 9e15)
    return static_cast<int64_t>(number);
  return RequestSample::kUnknown;
}

double seconds_of(const dom::object& object, std::string_view milliseconds) {
  double value = 0;
  const bool found = object[milliseconds].get(value) == simdjson::SUCCESS && value >= 0;
  return found ? value / 1000 : RequestSample::kNever;
}

// The first that is known.
template <typename... Rest>
int64_t first_known(int64_t value, Rest... rest) {
  if constexpr (sizeof...(rest) == 0) {
    return value;
  } else {
    return value != RequestSample::kUnknown ? value : first_known(rest...);
  }
}

int64_t nested_count(const dom::object& object, std::string_view key, std::string_view inner) {
  dom::object details;
  return object[key].get(details) == simdjson::SUCCESS ? count_of(details, inner)
                                                       : RequestSample::kUnknown;
}

void read_usage(const dom::object& usage, AnswerPiece& piece) {
  piece.prompt_tokens = count_of(usage, "prompt_tokens");
  piece.completion_tokens = count_of(usage, "completion_tokens");
  piece.cached_tokens =
      first_known(nested_count(usage, "prompt_tokens_details", "cached_tokens"),
                  count_of(usage, "cached_tokens"), count_of(usage, "prompt_cache_hit_tokens"));
  piece.reasoning_tokens =
      first_known(nested_count(usage, "completion_tokens_details", "reasoning_tokens"),
                  count_of(usage, "reasoning_tokens"));
}

// llama.cpp: prompt_n counts what was computed, cache_n what was found.
void read_timings(const dom::object& timings, AnswerPiece& piece) {
  piece.server_prefill = seconds_of(timings, "prompt_ms");
  piece.server_decode = seconds_of(timings, "predicted_ms");
  const int64_t cached = count_of(timings, "cache_n"), computed = count_of(timings, "prompt_n");
  piece.cached_tokens = first_known(piece.cached_tokens, cached);
  piece.completion_tokens = first_known(piece.completion_tokens, count_of(timings, "predicted_n"));
  if (computed != RequestSample::kUnknown)
    piece.prompt_tokens = first_known(piece.prompt_tokens, computed + std::max<int64_t>(cached, 0));
}

// `delta` of a stream or `message` of a whole answer.
void read_message(const dom::object& message, AnswerPiece& piece) {
  piece.answer += text_of(message, "content");
  piece.answer += text_of(message, "refusal");
  const std::string_view reasoning = text_of(message, "reasoning");
  // Servers that send both names send the same text twice.
  piece.reasoning += reasoning.empty() ? text_of(message, "reasoning_content") : reasoning;
  dom::array calls;
  if (message["tool_calls"].get(calls) == simdjson::SUCCESS && calls.size() > 0)
    piece.tool_calls += simdjson::minify(calls);
  dom::object call;
  if (message["function_call"].get(call) == simdjson::SUCCESS)
    piece.tool_calls += simdjson::minify(call);
}

void read_choice(const dom::object& choice, AnswerPiece& piece) {
  dom::object message;
  if (choice["delta"].get(message) == simdjson::SUCCESS ||
      choice["message"].get(message) == simdjson::SUCCESS)
    read_message(message, piece);
  piece.answer += text_of(choice, "text");
  const std::string_view reason = text_of(choice, "finish_reason");
  if (!reason.empty()) piece.finish_reason = reason;
}

ChunkKind kind_of(const AnswerPiece& piece, size_t choices) {
  if (!piece.reasoning.empty()) return ChunkKind::kReasoning;
  if (!piece.answer.empty()) return ChunkKind::kAnswer;
  if (!piece.tool_calls.empty()) return ChunkKind::kToolCall;
  const bool counts = piece.completion_tokens != RequestSample::kUnknown ||
                      piece.prompt_tokens != RequestSample::kUnknown;
  return choices == 0 && counts ? ChunkKind::kUsage : ChunkKind::kRole;
}

// The message in an error object or text of any server; empty when it has none.
std::string message_in(const dom::object& object) {
  std::string out;
  for (const std::string_view key : {"message", "detail", "msg", "error"}) {
    const auto value = object[key];
    std::string_view text;
    dom::object inner;
    dom::array list;
    if (value.get(text) == simdjson::SUCCESS) {
      out = text;
    } else if (value.get(inner) == simdjson::SUCCESS) {
      out = message_in(inner);
    } else if (value.get(list) == simdjson::SUCCESS && list.size() > 0) {
      out = simdjson::minify(list);  // pydantic: one entry for each wrong field
    }
    if (!out.empty()) return shown(out);
  }
  return out;
}

std::string error_in(const dom::object& root) {
  std::string message = message_in(root);
  return message.empty() ? shown(std::string(simdjson::minify(root))) : message;
}

// An error in place of a chunk: {"error": …}, vLLM's {"object": "error", …}, {"detail": …}.
bool is_error(const dom::object& root) {
  return present(root["error"]) || text_of(root, "object") == "error" || present(root["detail"]);
}

void read_root(const dom::object& root, AnswerPiece& piece) {
  dom::array choices;
  const bool has_choices = root["choices"].get(choices) == simdjson::SUCCESS;
  dom::object counts;
  if (root["usage"].get(counts) == simdjson::SUCCESS) read_usage(counts, piece);
  if (root["timings"].get(counts) == simdjson::SUCCESS) read_timings(counts, piece);
  if (has_choices)
    for (const dom::element choice : choices) {
      dom::object object;
      if (choice.get(object) == simdjson::SUCCESS) read_choice(object, piece);
    }
  piece.kind = kind_of(piece, has_choices ? choices.size() : 0);
  if (is_error(root)) {
    piece.error = error_in(root);
  } else if (piece.finish_reason == "error" || piece.finish_reason == "abort") {
    piece.error = fmt::format("the answer ended with finish_reason '{}'", piece.finish_reason);
  } else if (!has_choices && piece.kind != ChunkKind::kUsage) {
    piece.malformed = fmt::format("expected an object with 'choices', found {}",
                                  shown(std::string(simdjson::minify(root))));
  }
}

}  // namespace

struct ChunkReader::Parser {
  dom::parser parser;
};

ChunkReader::ChunkReader() : parser_(std::make_unique<Parser>()) {}
ChunkReader::~ChunkReader() = default;
ChunkReader::ChunkReader(ChunkReader&&) noexcept = default;

const AnswerPiece& ChunkReader::read(std::string_view json) {
  piece_ = AnswerPiece();
  dom::object root;
  const auto error = parser_->parser.parse(json.data(), json.size()).get(root);
  if (error != simdjson::SUCCESS) {
    piece_.malformed = fmt::format("expected a JSON object, found '{}' ({})", shown(json),
                                   simdjson::error_message(error));
  } else {
    read_root(root, piece_);
  }
  return piece_;
}

std::string error_text(std::string_view body) {
  dom::parser parser;
  dom::object root;
  if (parser.parse(body.data(), body.size()).get(root) == simdjson::SUCCESS) return error_in(root);
  return shown(body);
}

}  // namespace mica

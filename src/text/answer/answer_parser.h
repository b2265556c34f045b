// Splits a model's answer, as it arrives, into content, reasoning and tool calls.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "text/answer/answer_style.h"
#include "text/answer/marker_set.h"

namespace mica {

// One piece of an answer, in order.
//
// A call is kToolBegin, any number of kToolArguments, kToolEnd; content and reasoning never come
// between them. When kToolEnd is given, the pieces of kToolArguments put together are one JSON
// object. A call that turns out malformed or cut after its kToolBegin gets no kToolEnd: its whole
// text comes as kContent next, and a response that is not streamed leaves the call out. (What was
// streamed of it is then an unfinished JSON text, which no client takes for a call by mistake.)
struct AnswerPart {
  enum class Kind : uint8_t { kContent, kReasoning, kToolBegin, kToolArguments, kToolEnd };
  Kind kind = Kind::kContent;
  std::string text;      // kContent, kReasoning; kToolArguments: a piece of the JSON text
  int32_t tool = 0;      // kTool…: index of the call in this answer, counted at kToolBegin
  std::string id, name;  // kToolBegin
  bool operator==(const AnswerPart&) const = default;
};

struct AnswerParserOptions {
  // The request's tools as OpenAI writes them, an array of {"type": "function", "function":
  // {"name", "parameters"}} or of the inner objects, or null: tells strings from other values where
  // a style does not (XML), and which bare JSON is a call (Llama 3). A reference is kept.
  std::shared_ptr<const nlohmann::ordered_json> tools;
  bool parse_tools = true;     // false: calls stay in the content as they were written
  bool parallel_calls = true;  // false: calls after the first are left out
  // kToolBegin only when the call is complete, so that each kToolBegin has its kToolEnd and a
  // malformed call is content alone. For responses that are not streamed.
  bool whole_calls = false;
  bool starts_in_reasoning = false;  // prompt_opens_reasoning()
  uint64_t id_seed = 0;              // ids of calls differ between requests of different seeds
  // Texts of the model's special tokens, made once per model: dropped from content and reasoning,
  // left alone in arguments. Null: none, text that looks like one stays.
  std::shared_ptr<const MarkerSet> special_tokens;
};

// The text in any cutting (between characters) gives the same parts, put together.
// White space next to a marker (after <think>, before </think> or a call …) is layout and dropped.
class AnswerParser {
 public:
  AnswerParser(AnswerStyle style, AnswerParserOptions options);
  AnswerParser(AnswerParser&&) noexcept;
  AnswerParser& operator=(AnswerParser&&) noexcept;
  ~AnswerParser();

  // UTF-8 decoded WITH special tokens; stop tokens are not included.
  std::vector<AnswerPart> add(std::string_view text);
  // The answer is over. `complete`: the model ended it itself (a stop token): a call whose values
  // are all whole and whose end alone is missing is closed, with a warning. false (length, stop
  // string, cancelled): only a call whose arguments' own end was seen is.
  std::vector<AnswerPart> finish(bool complete = true);

  // What was malformed and what was made of it; "" while all is well.
  const std::string& warning() const;
  bool in_reasoning() const;
  int32_t tools() const;  // calls that were complete: kToolEnd given

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mica

// The output items of a response, built part by part, with the events that a stream tells.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "server/answer_format.h"

namespace mica {

class ResponseOutput {
 public:
  explicit ResponseOutput(bool logprobs) : logprobs_(logprobs) {}

  // Events of what is new; `tokens` go with the first text.
  std::string add(std::span<const AnswerPart> parts, std::span<const ScoredToken> tokens);
  // The last item ends; `status`: "completed" or "incomplete".
  std::string close(const char* status);
  const nlohmann::ordered_json& items() const { return items_; }

  // An event with the next sequence number.
  std::string event(const char* type, nlohmann::ordered_json members);

 private:
  enum class Kind : uint8_t { kNone, kReasoning, kMessage, kCall };
  std::string open(Kind kind, const AnswerPart& part);
  std::string open_content(const char* type);
  std::string text_delta(const std::string& text, std::span<const ScoredToken> tokens);
  std::string close_content();
  nlohmann::ordered_json place() const;  // item_id and output_index, of the open item

  const bool logprobs_;
  nlohmann::ordered_json items_ = nlohmann::ordered_json::array();
  Kind open_ = Kind::kNone;
  int64_t sequence_ = 0;
};

}  // namespace mica

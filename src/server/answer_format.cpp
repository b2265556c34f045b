#include "server/answer_format.h"

#include "server/sse.h"

namespace mica {

std::string AnswerChoice::text(AnswerPart::Kind kind) const {
  std::string out;
  for (const AnswerPart& part : parts)
    if (part.kind == kind) out += part.text;
  return out;
}

std::string AnswerChoice::arguments(int32_t tool) const {
  std::string out;
  for (const AnswerPart& part : parts)
    if (part.kind == AnswerPart::Kind::kToolArguments && part.tool == tool) out += part.text;
  return out;
}

std::string AnswerFormat::keepalive() {
  return std::string(kSseKeepalive);
}

}  // namespace mica

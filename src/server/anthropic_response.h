// Answers in the shapes of Anthropic's Messages.
#pragma once

#include <memory>
#include <string>

#include "server/answer_format.h"

namespace mica {

// `model`: as the request names it.
std::unique_ptr<AnswerFormat> anthropic_format(const std::string& model);

// {"type": "error", "error": {"type", "message"}}
HttpResponse anthropic_error(const ApiError& error);

}  // namespace mica

// Answers in OpenAI's shapes: chat completions, text completions, the list of models.
#pragma once

#include <memory>
#include <string>

#include "server/answer_format.h"
#include "server/openai_request.h"

namespace mica {

std::unique_ptr<AnswerFormat> chat_format(const GenerationFields& fields, const ServedModel& model);
std::unique_ptr<AnswerFormat> text_format(const GenerationFields& fields, const ServedModel& model);

}  // namespace mica

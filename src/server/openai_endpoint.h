// From a body to a job for the engine, per endpoint: parse, render, tokenize, check the length.
#pragma once

#include <string_view>

#include "server/completion.h"

namespace mica {

// Throw RequestError. Long bodies take a while: not for I/O threads.
CompletionJob chat_job(std::string_view body, const ServedModel& model);  // openai_chat.cpp
CompletionJob text_job(std::string_view body, const ServedModel& model);  // openai_text.cpp

}  // namespace mica

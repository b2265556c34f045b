// Fields that requests of all dialects share, to what the engine runs. Values are checked here;
// each error is a RequestError with the field's name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/completion.h"
#include "server/json_fields.h"
#include "server/served_model.h"

namespace mica {

// As the request names the model, for the answer; 404 for another one than the served.
std::string model_name(const Fields& fields, const ServedModel& model);
[[noreturn]] void no_such_model(const std::string& name, const ServedModel& model);

// temperature … seed, by the names of OpenAI, mlx-lm, vLLM and llama.cpp.
SamplingParams sampling_fields(const Fields& fields, const ServedModel& model);

// Strings that end the answer: one, or a list of them.
std::vector<std::string> stop_strings(const Fields& fields, const char* name);

// stop, stop_token_ids, min_tokens, ignore_eos, priority and the like.
void ending_fields(const Fields& fields, const ServedModel& model, CompletionJob& job);

// The limit that the first of `names` with a value sets; the server's default without one. More
// than an int is as good as no limit.
int32_t longest_answer(const Fields& fields, std::initializer_list<const char*> names,
                       const ServedModel& model);

}  // namespace mica

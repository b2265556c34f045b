// POST /v1/chat/completions.
#include <algorithm>

#include "server/limits.h"
#include "server/openai_endpoint.h"
#include "server/openai_request.h"
#include "server/openai_response.h"
#include "server/server_error.h"

namespace mica {

CompletionJob chat_job(std::string_view body, const ServedModel& model) {
  const nlohmann::ordered_json json = parse_json_body(body);
  const Fields f(json);
  CompletionJob job;
  OpenAiShape shape;
  common_fields(f, model, job, shape);
  shape.logprobs = job.logprobs = f.boolean("logprobs", false);
  shape.top_logprobs = job.top_logprobs = static_cast<int32_t>(
      std::max<int64_t>(0, f.integer("top_logprobs", -1, -1, limits::kTopLogprobs)));
  if (job.top_logprobs > 0 && !job.logprobs)
    throw RequestError("top_logprobs", "top_logprobs: needs \"logprobs\": true");
  const ChatInput input = chat_fields(f, model);
  prepare_chat(input, model, job);
  if (f.boolean("echo", false) && input.options.continue_final_message)
    job.echoes = {text_or_empty(input.messages.back(), "content")};
  job.format = chat_format(shape, model);
  return job;
}

}  // namespace mica

#include "server/openai_endpoint.h"

#include <nlohmann/json.hpp>

#include "server/json_fields.h"
#include "server/openai_request.h"
#include "server/openai_response.h"

namespace mica {
namespace {

CompletionJob job_of(const GenerationFields& fields, const ServedModel& model) {
  CompletionJob job;
  job.sampling = fields.sampling;
  job.max_tokens = fields.max_tokens >= 0 ? fields.max_tokens : model.defaults.max_tokens;
  job.choices = fields.choices;
  job.stop = fields.stop;
  job.stream = fields.stream;
  job.logprobs = fields.logprobs;
  job.top_logprobs = fields.logprobs ? fields.top_logprobs : 0;
  return job;
}

}  // namespace

CompletionJob chat_job(std::string_view body, const ServedModel& model) {
  const ChatRequest request = parse_chat_request(parse_json_body(body), model);
  CompletionJob job = job_of(request.fields, model);
  ChatTemplateOptions options;
  options.add_generation_prompt = request.add_generation_prompt;
  options.continue_final_message = request.continue_final_message;
  std::string rendered;
  try {
    rendered =
        model.text->render(request.messages, request.tools, request.template_arguments, options);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kUsage) throw RequestError("messages", error.what());
    throw;
  }
  job.prompts.push_back(model.text->encode_rendered(rendered));
  check_prompts(job, model);
  job.format = chat_format(request.fields, model);
  return job;
}

CompletionJob text_job(std::string_view body, const ServedModel& model) {
  TextRequest request = parse_text_request(parse_json_body(body), model);
  CompletionJob job = job_of(request.fields, model);
  for (TextPrompt& prompt : request.prompts) {
    if (!prompt.is_tokens) prompt.tokens = model.text->encode(prompt.text);
    if (request.echo)
      job.echoes.push_back(prompt.is_tokens ? model.text->tokenizer().decode(
                                                  prompt.tokens, /*skip_special_tokens=*/true)
                                            : std::move(prompt.text));
    job.prompts.push_back(std::move(prompt.tokens));
  }
  check_prompts(job, model);
  job.format = text_format(request.fields, model);
  return job;
}

}  // namespace mica

// POST /v1/completions.
#include <fmt/format.h>

#include <algorithm>

#include "server/infill.h"
#include "server/limits.h"
#include "server/openai_endpoint.h"
#include "server/openai_request.h"
#include "server/openai_response.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

struct TextPrompt {
  bool is_tokens = false;
  std::string text;
  std::vector<int32_t> tokens;
};

TextPrompt token_prompt(const Json& ids, const std::string& place, int32_t vocabulary) {
  TextPrompt prompt;
  prompt.is_tokens = true;
  prompt.tokens.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i)
    prompt.tokens.push_back(static_cast<int32_t>(
        whole_number(fmt::format("{}[{}]", place, i), ids[i], 0, vocabulary - 1)));
  return prompt;
}

TextPrompt one_prompt(const Json& value, const std::string& place, int32_t vocabulary) {
  if (value.is_string()) return {false, value.get<std::string>(), {}};
  if (!value.is_array() || value.empty())
    wrong_value(place, "a string or a list of token ids", value);
  return token_prompt(value, place, vocabulary);
}

// A string, a list of token ids, or a list of either.
std::vector<TextPrompt> prompts_of(const Fields& fields, int32_t vocabulary) {
  const Json* prompt = fields.find("prompt");
  if (!prompt) throw RequestError("prompt", "prompt: it is missing");
  const bool several = prompt->is_array() && !prompt->empty() && !prompt->front().is_number();
  if (!several) return {one_prompt(*prompt, "prompt", vocabulary)};
  if (prompt->size() > limits::kChoices)
    throw RequestError("prompt", fmt::format("prompt: {} prompts, at most {} are taken",
                                             prompt->size(), limits::kChoices));
  std::vector<TextPrompt> out;
  for (size_t i = 0; i < prompt->size(); ++i)
    out.push_back(one_prompt((*prompt)[i], fmt::format("prompt[{}]", i), vocabulary));
  return out;
}

// A count of alternatives; mlx-lm's true reads as none. llama.cpp calls it n_probs.
void logprob_fields(const Fields& fields, CompletionJob& job, OpenAiShape& shape) {
  const char* name = fields.find("logprobs") ? "logprobs" : "n_probs";
  const Json* value = fields.find(name);
  if (!value) return;
  if (value->is_boolean()) {
    job.logprobs = value->get<bool>();
  } else {
    job.logprobs = true;
    job.top_logprobs = static_cast<int32_t>(whole_number(name, *value, 0, limits::kTopLogprobs));
  }
  shape.logprobs = job.logprobs;
  shape.top_logprobs = job.top_logprobs;
}

void choice_fields(const Fields& fields, size_t prompts, CompletionJob& job) {
  job.best_of = static_cast<int32_t>(
      fields.integer("best_of", job.choices, job.choices, limits::kChoicesPerPrompt));
  if (job.best_of > job.choices && job.stream)
    throw RequestError("best_of", "best_of: a stream can't choose among answers");
  if (prompts * static_cast<size_t>(job.best_of) > limits::kChoices)
    throw RequestError(
        "n", fmt::format("n: {} prompts with {} choices each, at most {} answers in all", prompts,
                         job.best_of, limits::kChoices));
}

// The prompt with a suffix, where the model was trained to fill in the middle.
void infill(const Fields& fields, const ServedModel& model, TextPrompt& prompt) {
  const std::string suffix = fields.text("suffix", "");
  if (suffix.empty()) return;
  const auto tokens = InfillTokens::find(model.text->tokenizer());
  if (!tokens)
    throw RequestError("suffix", "suffix: this model has no tokens to fill in the middle");
  if (prompt.is_tokens) throw RequestError("suffix", "suffix: not together with token ids");
  prompt.tokens = tokens->prompt(*model.text, prompt.text, suffix);
}

void add_prompt(const Fields& fields, const ServedModel& model, bool echo, TextPrompt& prompt,
                CompletionJob& job) {
  infill(fields, model, prompt);
  const Tokenizer& tokenizer = model.text->tokenizer();
  if (!prompt.is_tokens && prompt.tokens.empty())
    prompt.tokens = fields.boolean("add_special_tokens", true)
                        ? model.text->encode(prompt.text)
                        : tokenizer.encode(prompt.text, /*add_special_tokens=*/false);
  const int64_t last = fields.integer("truncate_prompt_tokens", -1, -1, INT32_MAX);
  const bool cut = last > 0 && prompt.tokens.size() > static_cast<size_t>(last);
  if (cut) prompt.tokens.erase(prompt.tokens.begin(), prompt.tokens.end() - last);
  if (echo)
    job.echoes.push_back(prompt.is_tokens || cut
                             ? tokenizer.decode(prompt.tokens, /*skip_special_tokens=*/true)
                             : std::move(prompt.text));
  job.prompts.push_back(std::move(prompt.tokens));
}

}  // namespace

CompletionJob text_job(std::string_view body, const ServedModel& model) {
  const Json json = parse_json_body(body);
  const Fields f(json);
  CompletionJob job;
  OpenAiShape shape;
  common_fields(f, model, job, shape);
  logprob_fields(f, job, shape);
  job.skip_special_tokens = f.boolean("skip_special_tokens", true);
  std::vector<TextPrompt> prompts = prompts_of(f, model.vocabulary);
  const bool echo = f.boolean("echo", false);
  choice_fields(f, prompts.size(), job);
  shape.echo = echo;
  if (echo && job.logprobs) {
    score_prompts("logprobs", job.top_logprobs, model, job);
    job.score_end = true;  // clients tell prompt and answer apart by the number of tokens
  }
  if (const auto tokens = InfillTokens::find(model.text->tokenizer());
      tokens && !f.text("suffix", "").empty())
    job.stop_token_ids.insert(job.stop_token_ids.end(), tokens->ends.begin(), tokens->ends.end());
  for (TextPrompt& prompt : prompts) add_prompt(f, model, echo, prompt, job);
  check_prompts(job, model);
  if (const auto grammar = grammar_fields(f)) {
    job.constraint = text_constraint(*grammar, model);
    job.ignore_eos = false;  // where the grammar ends the answer ends
  }
  job.format = text_format(shape, model);
  return job;
}

}  // namespace mica

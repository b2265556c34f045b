#include "server/openai_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>

#include "server/adapter_table.h"
#include "server/json_fields.h"
#include "server/limits.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kLargest = 1e6;  // of temperatures and penalties: anything beyond is a mistake
constexpr int64_t kMaxInt = INT32_MAX;

std::string model_name(const Fields& fields, const ServedModel& model) {
  const std::string name = fields.text("model", "");
  if (name.empty()) return model.id;
  if (!model.answers_to(name))
    throw RequestError(ApiError{404,
                                fmt::format("the model '{}' does not exist; this server has '{}'",
                                            name.substr(0, 200), model.id),
                                "model", "model_not_found"});
  return name;
}

std::vector<std::pair<int32_t, float>> logit_bias(const Fields& fields, int32_t vocabulary) {
  std::vector<std::pair<int32_t, float>> out;
  const Json* map = fields.find("logit_bias");
  if (!map) return out;
  if (!map->is_object()) wrong_value("logit_bias", "an object of token id to number", *map);
  for (const auto& [key, value] : map->items()) {
    const bool digits =
        !key.empty() && key.size() <= 9 &&
        std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
    const int32_t id = digits ? std::atoi(key.c_str()) : -1;
    if (id < 0 || id >= vocabulary)
      throw RequestError("logit_bias",
                         fmt::format("logit_bias: expected token ids from 0 to {}, found '{}'",
                                     vocabulary - 1, key.substr(0, 60)));
    const double bias = value.is_number() ? value.get<double>() : kLargest * 2;
    if (!(bias >= -kLargest && bias <= kLargest))
      wrong_value("logit_bias", fmt::format("a number for token {}", id), value);
    out.emplace_back(id, static_cast<float>(bias));
  }
  return out;
}

uint64_t seed(const Fields& fields) {
  const Json* value = fields.find("seed");
  if (!value) return (uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  if (value->is_number_unsigned()) return value->get<uint64_t>();
  return static_cast<uint64_t>(whole_number("seed", *value, INT64_MIN, INT64_MAX));
}

SamplingParams sampling(const Fields& f, const ServedModel& model) {
  SamplingParams p = model.defaults.sampling;
  const auto number = [&](const char* name, float& value, double least, double most) {
    value = static_cast<float>(f.number(name, static_cast<double>(value), least, most));
  };
  const auto count = [&](const char* name, int32_t& value, int64_t least) {
    value = static_cast<int32_t>(f.integer(name, value, least, kMaxInt));
  };
  number("temperature", p.temperature, 0, kLargest);
  number("top_p", p.top_p, 0, 1);
  number("min_p", p.min_p, 0, 1);
  count("top_k", p.top_k, -1);  // -1 is "off" for other servers
  p.top_k = std::max(p.top_k, 0);
  count("min_tokens_to_keep", p.min_tokens_to_keep, 1);
  number("xtc_probability", p.xtc_probability, 0, 1);
  number("xtc_threshold", p.xtc_threshold, 0, 0.5);
  number("repetition_penalty", p.repetition_penalty, 0, kLargest);
  count("repetition_context_size", p.repetition_context_size, 0);
  number("presence_penalty", p.presence_penalty, -kLargest, kLargest);
  count("presence_context_size", p.presence_context_size, 0);
  number("frequency_penalty", p.frequency_penalty, -kLargest, kLargest);
  count("frequency_context_size", p.frequency_context_size, 0);
  p.logit_bias = logit_bias(f, model.vocabulary);
  p.seed = seed(f);
  if (p.xtc_probability > 0) {
    p.xtc_special_tokens = model.text->tokenizer().encode("\n", /*add_special_tokens=*/false);
    const auto& ends = model.text->end_ids();
    p.xtc_special_tokens.insert(p.xtc_special_tokens.end(), ends.begin(), ends.end());
  }
  return p;
}

void add_stop(std::vector<std::string>& out, const Json& value) {
  if (!value.is_string()) wrong_value("stop", "a string or a list of strings", value);
  std::string text = value.get<std::string>();
  if (text.empty()) throw RequestError("stop", "stop: expected text, found an empty string");
  if (text.size() > limits::kStopBytes)
    throw RequestError("stop", fmt::format("stop: {} bytes, at most {} are taken", text.size(),
                                           limits::kStopBytes));
  out.push_back(std::move(text));
}

std::vector<std::string> stop_strings(const Fields& fields) {
  std::vector<std::string> out;
  const Json* stop = fields.find("stop");
  if (!stop) return out;
  if (!stop->is_array()) {
    add_stop(out, *stop);
    return out;
  }
  if (stop->size() > limits::kStops)
    throw RequestError("stop", fmt::format("stop: {} strings, at most {} are taken", stop->size(),
                                           limits::kStops));
  for (const Json& item : *stop) add_stop(out, item);
  return out;
}

void check_response_format(const Fields& fields) {
  const Json* format = fields.find("response_format");
  if (!format) return;
  if (!format->is_object()) wrong_value("response_format", "an object", *format);
  const auto type = format->find("type");
  if (type == format->end() || !type->is_string())
    throw RequestError("response_format", "response_format: expected a type");
  if (*type != "text")
    wrong_value("response_format", "the type \"text\" (this version has no other)", *type);
}

// -1 when the request leaves it to the server. More than an int is as good as no limit.
int32_t longest_answer(const Fields& f) {
  int64_t tokens = f.integer("max_tokens", -1, 0, INT64_MAX);
  tokens = f.integer("max_completion_tokens", tokens, 0, INT64_MAX);
  return static_cast<int32_t>(std::min(tokens, kMaxInt));
}

GenerationFields common_fields(const Fields& f, const ServedModel& model) {
  GenerationFields out;
  out.model = model_name(f, model);
  out.sampling = sampling(f, model);
  out.max_tokens = longest_answer(f);
  out.choices = static_cast<int32_t>(f.integer("n", 1, 1, limits::kChoicesPerPrompt));
  out.stream = f.boolean("stream", false);
  if (const Json* options = f.find("stream_options")) {
    if (!options->is_object()) wrong_value("stream_options", "an object", *options);
    try {
      out.include_usage = Fields(*options).boolean("include_usage", false);
    } catch (const RequestError& error) {
      throw RequestError("stream_options.include_usage", "stream_options." + error.error().message);
    }
  }
  out.stop = stop_strings(f);
  check_response_format(f);
  return out;
}

// `tools` for the template; null when the model is not to see them.
Json tools_of(const Fields& fields) {
  const Json* tools = fields.find("tools");
  if (tools && !tools->is_array()) wrong_value("tools", "a list", *tools);
  if (tools)
    for (size_t i = 0; i < tools->size(); ++i)
      if (!(*tools)[i].is_object())
        wrong_value(fmt::format("tools[{}]", i), "an object", (*tools)[i]);
  const Json* choice = fields.find("tool_choice");
  if (choice && *choice != "auto" && *choice != "none")
    wrong_value("tool_choice", "\"auto\" or \"none\" (this version can't force a call)", *choice);
  if (!tools || tools->empty() || (choice && *choice == "none")) return nullptr;
  return *tools;
}

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

// A count of alternatives; mlx-lm's true reads as none.
void text_logprobs(const Fields& fields, GenerationFields& out) {
  const Json* value = fields.find("logprobs");
  if (!value) return;
  if (value->is_boolean()) {
    out.logprobs = value->get<bool>();
    return;
  }
  out.logprobs = true;
  out.top_logprobs =
      static_cast<int32_t>(whole_number("logprobs", *value, 0, limits::kTopLogprobs));
}

// Fields of the old interface that would change the answer.
void refuse_unsupported(const Fields& fields, const TextRequest& request) {
  const Json* suffix = fields.find("suffix");
  if (suffix && *suffix != "") wrong_value("suffix", "nothing (it is not supported)", *suffix);
  const int64_t best_of = fields.integer("best_of", request.fields.choices, 1, INT64_MAX);
  if (best_of != request.fields.choices)
    throw RequestError("best_of",
                       "best_of: expected the value of n; choosing the best is not supported");
  if (request.echo && request.fields.logprobs)
    throw RequestError("logprobs", "logprobs: not supported together with echo");
  if (request.prompts.size() * static_cast<size_t>(request.fields.choices) > limits::kChoices)
    throw RequestError(
        "n", fmt::format("n: {} prompts with {} choices each, at most {} answers in all",
                         request.prompts.size(), request.fields.choices, limits::kChoices));
}

}  // namespace

bool ServedModel::answers_to(const std::string& name) const {
  return name == "default_model" || name == id ||
         std::find(aliases.begin(), aliases.end(), name) != aliases.end() ||
         (adapters && adapters->has(name));
}

ChatRequest parse_chat_request(const Json& body, const ServedModel& model) {
  const Fields f(body);
  ChatRequest out;
  out.fields = common_fields(f, model);
  out.fields.logprobs = f.boolean("logprobs", false);
  out.fields.top_logprobs = static_cast<int32_t>(
      std::max<int64_t>(0, f.integer("top_logprobs", -1, -1, limits::kTopLogprobs)));
  if (out.fields.top_logprobs > 0 && !out.fields.logprobs)
    throw RequestError("top_logprobs", "top_logprobs: needs \"logprobs\": true");
  const Json* messages = f.find("messages");
  if (!messages) throw RequestError("messages", "messages: it is missing");
  const bool knows_developer =
      model.text->has_template() &&
      model.text->chat_template().source().find("developer") != std::string_view::npos;
  out.messages = normal_messages(*messages, knows_developer);
  out.tools = tools_of(f);
  out.template_arguments = Json::parse(model.defaults.template_arguments);
  if (const Json* arguments = f.find("chat_template_kwargs")) {
    if (!arguments->is_object()) wrong_value("chat_template_kwargs", "an object", *arguments);
    for (const auto& [key, value] : arguments->items()) out.template_arguments[key] = value;
  }
  out.continue_final_message = f.boolean("continue_final_message", false);
  out.add_generation_prompt = f.boolean("add_generation_prompt", !out.continue_final_message);
  if (out.continue_final_message && out.add_generation_prompt)
    throw RequestError("continue_final_message",
                       "continue_final_message: not together with add_generation_prompt");
  return out;
}

TextRequest parse_text_request(const Json& body, const ServedModel& model) {
  const Fields f(body);
  TextRequest out;
  out.fields = common_fields(f, model);
  text_logprobs(f, out.fields);
  out.prompts = prompts_of(f, model.vocabulary);
  out.echo = f.boolean("echo", false);
  refuse_unsupported(f, out);
  return out;
}

}  // namespace mica

#include "server/request_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>

#include "server/adapter_table.h"
#include "server/limits.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kLargest = 1e6;  // of temperatures and penalties: anything beyond is a mistake
constexpr int64_t kMaxInt = INT32_MAX;

std::pair<int32_t, float> one_bias(const std::string& key, const Json& value, int32_t vocabulary) {
  const bool digits =
      !key.empty() && key.size() <= 9 &&
      std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
  const int32_t id = digits ? std::atoi(key.c_str()) : -1;
  if (id < 0 || id >= vocabulary)
    throw RequestError("logit_bias",
                       fmt::format("logit_bias: expected token ids from 0 to {}, found '{}'",
                                   vocabulary - 1, key.substr(0, 60)));
  if (value == false) return {id, -static_cast<float>(kLargest)};  // llama.cpp: never
  const double bias = value.is_number() ? value.get<double>() : kLargest * 2;
  if (!(bias >= -kLargest && bias <= kLargest))
    wrong_value("logit_bias", fmt::format("a number for token {}", id), value);
  return {id, static_cast<float>(bias)};
}

// {"id": number}, or llama.cpp's [[id, number or false], …].
std::vector<std::pair<int32_t, float>> logit_bias(const Fields& fields, int32_t vocabulary) {
  std::vector<std::pair<int32_t, float>> out;
  const Json* biases = fields.find("logit_bias");
  if (!biases) return out;
  if (biases->is_object()) {
    for (const auto& [key, value] : biases->items())
      out.push_back(one_bias(key, value, vocabulary));
    return out;
  }
  if (!biases->is_array() || biases->empty())
    wrong_value("logit_bias", "an object of token id to number", *biases);
  for (const Json& pair : *biases) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_integer())
      wrong_value("logit_bias", "pairs of token id and number", pair);
    out.push_back(one_bias(pair[0].dump(), pair[1], vocabulary));
  }
  return out;
}

uint64_t seed(const Fields& fields) {
  const Json* value = fields.find("seed");
  const bool random = !value || *value == -1;  // -1 is "any" for other servers
  if (random) return (uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  if (value->is_number_unsigned()) return value->get<uint64_t>();
  return static_cast<uint64_t>(whole_number("seed", *value, INT64_MIN, INT64_MAX));
}

void add_stop(std::vector<std::string>& out, const char* name, const Json& value) {
  if (!value.is_string()) wrong_value(name, "a string or a list of strings", value);
  std::string text = value.get<std::string>();
  if (text.empty())
    throw RequestError(name, fmt::format("{}: expected text, found an empty string", name));
  if (text.size() > limits::kStopBytes)
    throw RequestError(name, fmt::format("{}: {} bytes, at most {} are taken", name, text.size(),
                                         limits::kStopBytes));
  out.push_back(std::move(text));
}

std::vector<int32_t> stop_tokens(const Fields& fields, int32_t vocabulary) {
  std::vector<int32_t> out;
  const Json* ids = fields.find("stop_token_ids");
  if (!ids) return out;
  if (!ids->is_array()) wrong_value("stop_token_ids", "a list of token ids", *ids);
  if (ids->size() > limits::kStops)
    throw RequestError("stop_token_ids", fmt::format("stop_token_ids: {} ids, at most {} are taken",
                                                     ids->size(), limits::kStops));
  for (size_t i = 0; i < ids->size(); ++i)
    out.push_back(static_cast<int32_t>(
        whole_number(fmt::format("stop_token_ids[{}]", i), (*ids)[i], 0, vocabulary - 1)));
  return out;
}

}  // namespace

bool ServedModel::answers_to(const std::string& name) const {
  return name == "default_model" || name == id ||
         std::find(aliases.begin(), aliases.end(), name) != aliases.end() ||
         (adapters && adapters->has(name));
}

void no_such_model(const std::string& name, const ServedModel& model) {
  throw RequestError(ApiError{404,
                              fmt::format("the model '{}' does not exist; this server has '{}'",
                                          name.substr(0, 200), model.id),
                              "model", "model_not_found"});
}

std::string model_name(const Fields& fields, const ServedModel& model) {
  const std::string name = fields.text("model", "");
  if (name.empty()) return model.id;
  if (!model.answers_to(name)) no_such_model(name, model);
  return name;
}

SamplingParams sampling_fields(const Fields& f, const ServedModel& model) {
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
  count("min_keep", p.min_tokens_to_keep, 0);
  p.min_tokens_to_keep = std::max(p.min_tokens_to_keep, 1);
  count("min_tokens_to_keep", p.min_tokens_to_keep, 1);
  number("xtc_probability", p.xtc_probability, 0, 1);
  number("xtc_threshold", p.xtc_threshold, 0, 0.5);
  number("repeat_penalty", p.repetition_penalty, 0, kLargest);
  number("repetition_penalty", p.repetition_penalty, 0, kLargest);
  count("repeat_last_n", p.repetition_context_size, 0);
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

std::vector<std::string> stop_strings(const Fields& fields, const char* name) {
  std::vector<std::string> out;
  const Json* stop = fields.find(name);
  if (!stop) return out;
  if (!stop->is_array()) {
    add_stop(out, name, *stop);
    return out;
  }
  if (stop->size() > limits::kStops)
    throw RequestError(name, fmt::format("{}: {} strings, at most {} are taken", name, stop->size(),
                                         limits::kStops));
  for (const Json& item : *stop) add_stop(out, name, item);
  return out;
}

void ending_fields(const Fields& f, const ServedModel& model, CompletionJob& job) {
  job.stop = stop_strings(f, "stop");
  job.include_stop = f.boolean("include_stop_str_in_output", false);
  job.stop_token_ids = stop_tokens(f, model.vocabulary);
  job.min_tokens = static_cast<int32_t>(f.integer("min_tokens", 0, 0, kMaxInt));
  if (job.min_tokens > job.max_tokens)
    throw RequestError("min_tokens", fmt::format("min_tokens: {} is more than max_tokens, {}",
                                                 job.min_tokens, job.max_tokens));
  job.ignore_eos = f.boolean("ignore_eos", false);
  job.use_prefix_cache = f.boolean("cache_prompt", true);
  job.priority = static_cast<int32_t>(f.integer("priority", 0, INT32_MIN, kMaxInt));
}

int32_t longest_answer(const Fields& f, std::initializer_list<const char*> names,
                       const ServedModel& model) {
  int64_t tokens = -1;
  for (const char* name : names) {
    const int64_t value = f.integer(name, -1, 0, INT64_MAX);
    if (tokens < 0) tokens = value;
  }
  if (tokens < 0) return model.defaults.max_tokens;
  return static_cast<int32_t>(std::min(tokens, kMaxInt));
}

}  // namespace mica

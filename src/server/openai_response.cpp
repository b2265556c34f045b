#include "server/openai_response.h"

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "server/json_text.h"
#include "server/sse.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;
using Kind = AnswerPart::Kind;

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details",
           {{"reasoning_tokens", usage.reasoning_tokens},
            {"accepted_prediction_tokens", usage.accepted_draft_tokens},
            {"rejected_prediction_tokens", usage.draft_tokens - usage.accepted_draft_tokens}}}};
}

Json reason(const AnswerChoice& choice) {
  return choice.finish_reason.empty() ? Json(nullptr) : Json(choice.finish_reason);
}

// vLLM's: what ended the answer, where the request named it.
Json stop_reason(const AnswerChoice& choice) {
  if (!choice.stop_text.empty()) return choice.stop_text;
  return choice.stop_token >= 0 ? Json(choice.stop_token) : Json(nullptr);
}

// What both kinds of completions share; they differ in the objects of `choices`.
class OpenAiFormat : public AnswerFormat {
 public:
  OpenAiFormat(const OpenAiShape& shape, const ServedModel& model, const char* prefix)
      : shape_(shape),
        fingerprint_(model.fingerprint),
        id_(new_id(prefix)),
        created_(static_cast<int64_t>(std::time(nullptr))) {}

  std::string whole(std::span<const AnswerChoice> choices, const Account& account) override {
    Json list = Json::array(), warnings = Json::array();
    for (const AnswerChoice& choice : choices) {
      list.push_back(whole_choice(choice));
      list.back()["finish_reason"] = reason(choice);
      list.back()["stop_reason"] = stop_reason(choice);
      if (shape_.token_ids) list.back()["token_ids"] = choice.ids;
      if (!choice.warning.empty()) warnings.push_back(choice.warning);
    }
    Json body = envelope(object(false), std::move(list));
    body["usage"] = usage_json(account.usage);
    body["timings"] = timings_json(account);
    add_prompts(body, choices);
    if (!warnings.empty()) body["warnings"] = std::move(warnings);
    return to_text(body);
  }
  std::string delta(const AnswerChoice& news, const Account& account) override {
    std::string out;
    const std::vector<Json> pieces = pieces_of(news);
    for (size_t i = 0; i < pieces.size(); ++i) {
      Json choice = pieces[i];
      const bool scored = !news.tokens.empty() || !news.prompt.empty();
      choice["logprobs"] = i == 0 && scored ? logprobs(news) : Json(nullptr);
      choice["finish_reason"] = nullptr;
      if (i == 0 && shape_.token_ids) choice["token_ids"] = news.ids;
      Json body = chunk(std::move(choice), account);
      if (shape_.timings_per_token) body["timings"] = timings_json(account);
      out += sse_data(to_text(body));
    }
    return out;
  }
  std::string finish(const AnswerChoice& last, const Account& account) override {
    Json choice = empty_piece(last.index);
    choice["logprobs"] = nullptr;
    choice["finish_reason"] = reason(last);
    choice["stop_reason"] = stop_reason(last);
    Json body = chunk(std::move(choice), account);
    body["timings"] = timings_json(account);
    if (!last.warning.empty()) body["warnings"] = {last.warning};
    return sse_data(to_text(body));
  }
  std::string end(const Account& account) override {
    std::string out;
    if (shape_.include_usage) {
      Json body = envelope(object(true), Json::array());
      body["usage"] = usage_json(account.usage);
      body["timings"] = timings_json(account);
      out = sse_data(to_text(body));
    }
    return out += kSseDone;
  }
  std::string stream_error(const ApiError& error) override { return sse_data(error_json(error)); }

 protected:
  virtual const char* object(bool stream) const = 0;
  virtual Json whole_choice(const AnswerChoice& choice) const = 0;
  // The objects of `choices` that say what is new, without logprobs and finish_reason.
  virtual std::vector<Json> pieces_of(const AnswerChoice& news) const = 0;
  virtual Json empty_piece(int32_t index) const = 0;
  virtual Json logprobs(const AnswerChoice& choice) const = 0;
  // vLLM's log-probabilities of the prompts, where the request asked for them.
  virtual void add_prompts(Json& body, std::span<const AnswerChoice> choices) const = 0;

  Json chunk(Json choice, const Account& account) const {
    Json body = envelope(object(true), Json::array({std::move(choice)}));
    if (shape_.continuous_usage) {
      body["usage"] = usage_json(account.usage);
    } else if (shape_.include_usage) {
      body["usage"] = nullptr;
    }
    return body;
  }
  Json envelope(const char* object, Json choices) const {
    return {{"id", id_},
            {"object", object},
            {"created", created_},
            {"model", shape_.model},
            {"system_fingerprint", fingerprint_},
            {"choices", std::move(choices)}};
  }

  const OpenAiShape shape_;

 private:
  const std::string fingerprint_, id_;
  const int64_t created_;
};

Json call_json(const AnswerPart& begin, const std::string& arguments) {
  return {{"id", begin.id},
          {"type", "function"},
          {"function", {{"name", begin.name}, {"arguments", arguments}}}};
}

class ChatFormat final : public OpenAiFormat {
 public:
  ChatFormat(const OpenAiShape& shape, const ServedModel& model)
      : OpenAiFormat(shape, model, "chatcmpl-") {}

  std::string begin(int32_t choices, const Account& account) override {
    std::string out;
    for (int32_t i = 0; i < choices; ++i)
      out += sse_data(to_text(chunk({{"index", i},
                                     {"delta", {{"role", "assistant"}, {"content", ""}}},
                                     {"logprobs", nullptr},
                                     {"finish_reason", nullptr}},
                                    account)));
    return out;
  }

 protected:
  const char* object(bool stream) const override {
    return stream ? "chat.completion.chunk" : "chat.completion";
  }
  Json whole_choice(const AnswerChoice& choice) const override {
    Json message = {{"role", "assistant"}, {"content", choice.text(Kind::kContent)}};
    const std::string reasoning = choice.text(Kind::kReasoning);
    if (!reasoning.empty()) message["reasoning"] = message["reasoning_content"] = reasoning;
    Json calls = Json::array();
    for (const AnswerPart& part : choice.parts)
      if (part.kind == Kind::kToolBegin)
        calls.push_back(call_json(part, choice.arguments(part.tool)));
    if (!calls.empty()) {
      if (message["content"] == "") message["content"] = nullptr;
      message["tool_calls"] = std::move(calls);
    }
    return {{"index", choice.index},
            {"message", std::move(message)},
            {"logprobs", shape_.logprobs ? logprobs(choice) : Json(nullptr)}};
  }
  std::vector<Json> pieces_of(const AnswerChoice& news) const override {
    std::vector<Json> out;
    for (const AnswerPart& part : news.parts)
      if (part.kind != Kind::kToolEnd)
        out.push_back({{"index", news.index}, {"delta", delta_of(part)}});
    if (out.empty() && !news.tokens.empty()) out.push_back(empty_piece(news.index));
    return out;
  }
  Json empty_piece(int32_t index) const override {
    return {{"index", index}, {"delta", Json::object()}};
  }
  Json logprobs(const AnswerChoice& choice) const override {
    return chat_logprobs(choice.tokens, shape_.tokens_as_ids);
  }
  void add_prompts(Json& body, std::span<const AnswerChoice> choices) const override {
    if (shape_.prompt_logprobs)
      body["prompt_logprobs"] = prompt_logprobs(choices.front().prompt, *shape_.prompt_logprobs);
  }

 private:
  static Json delta_of(const AnswerPart& part) {
    switch (part.kind) {
      case Kind::kReasoning: return {{"reasoning", part.text}, {"reasoning_content", part.text}};
      case Kind::kToolBegin: {
        Json call = {{"index", part.tool}};
        call.update(call_json(part, ""));
        return {{"tool_calls", Json::array({std::move(call)})}};
      }
      case Kind::kToolArguments:
        return {{"tool_calls",
                 Json::array({{{"index", part.tool}, {"function", {{"arguments", part.text}}}}})}};
      default: return {{"content", part.text}};
    }
  }
};

class TextFormat final : public OpenAiFormat {
 public:
  TextFormat(const OpenAiShape& shape, const ServedModel& model)
      : OpenAiFormat(shape, model, "cmpl-") {}

  std::string begin(int32_t, const Account&) override { return ""; }

 protected:
  const char* object(bool) const override { return "text_completion"; }
  Json whole_choice(const AnswerChoice& choice) const override {
    return {{"index", choice.index},
            {"text", choice.text(Kind::kContent)},
            {"logprobs", shape_.logprobs ? logprobs(choice) : Json(nullptr)}};
  }
  std::vector<Json> pieces_of(const AnswerChoice& news) const override {
    return {{{"index", news.index}, {"text", news.text(Kind::kContent)}}};
  }
  Json empty_piece(int32_t index) const override { return {{"index", index}, {"text", ""}}; }
  Json logprobs(const AnswerChoice& choice) const override {
    const auto prompt = shape_.echo ? choice.prompt : std::span<const ScoredToken>();
    return text_logprobs(prompt, choice.tokens, shape_.top_logprobs, shape_.tokens_as_ids);
  }
  void add_prompts(Json& body, std::span<const AnswerChoice> choices) const override {
    if (!shape_.prompt_logprobs) return;
    for (size_t i = 0; i < choices.size(); ++i)
      body["choices"][i]["prompt_logprobs"] =
          prompt_logprobs(choices[i].prompt, *shape_.prompt_logprobs);
  }
};

double per_second(int64_t count, double ms) {
  return ms > 0 ? static_cast<double>(count) / ms * 1000 : 0;
}

}  // namespace

// The first token comes out of the prompt's last step: its time is the prompt's.
Json timings_json(const Account& account) {
  const Usage& usage = account.usage;
  const Timings& t = account.timings;
  const int64_t prompt = usage.prompt_tokens - usage.cached_tokens;
  const int64_t after_first = std::max<int64_t>(0, usage.completion_tokens - 1);
  return {{"cache_n", usage.cached_tokens},
          {"queue_ms", t.queue_ms},
          {"prompt_n", prompt},
          {"prompt_ms", t.prompt_ms},
          {"prompt_per_second", per_second(prompt, t.prompt_ms)},
          {"predicted_n", usage.completion_tokens},
          {"predicted_ms", t.predicted_ms},
          {"predicted_per_second", per_second(after_first, t.predicted_ms)}};
}

std::unique_ptr<AnswerFormat> chat_format(const OpenAiShape& shape, const ServedModel& model) {
  return std::make_unique<ChatFormat>(shape, model);
}

std::unique_ptr<AnswerFormat> text_format(const OpenAiShape& shape, const ServedModel& model) {
  return std::make_unique<TextFormat>(shape, model);
}

}  // namespace mica

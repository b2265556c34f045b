#include "server/responses_response.h"

#include <ctime>
#include <utility>

#include "server/json_text.h"
#include "server/openai_response.h"
#include "server/responses_output.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

Json usage_json(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

class ResponsesFormat final : public AnswerFormat {
 public:
  explicit ResponsesFormat(ResponseRecord record)
      : record_(std::move(record)), output_(record_.logprobs) {}

  std::string whole(std::span<const AnswerChoice> choices, const Account& account) override {
    (void)output_.add(choices.front().parts, choices.front().tokens);
    (void)conclude(choices.front());
    return to_text(finished(account));
  }
  std::string begin(int32_t, const Account&) override {
    std::string out = output_.event("response.created", {{"response", record_.response}});
    return out += output_.event("response.in_progress", {{"response", record_.response}});
  }
  std::string delta(const AnswerChoice& news, const Account&) override {
    return output_.add(news.parts, news.tokens);
  }
  std::string finish(const AnswerChoice& last, const Account&) override { return conclude(last); }
  std::string end(const Account& account) override {
    const Json response = finished(account);
    const bool whole = response["status"] == "completed";
    return output_.event(whole ? "response.completed" : "response.incomplete",
                         {{"response", response}});
  }
  std::string stream_error(const ApiError& error) override {
    const Json code = error.code.empty() ? "server_error" : error.code;
    Json& response = record_.response;
    response["status"] = "failed";
    response["error"] = {{"code", code}, {"message", error.message}};
    response["output"] = output_.items();
    std::string out =
        output_.event("error", {{"code", code}, {"message", error.message}, {"param", nullptr}});
    return out += output_.event("response.failed", {{"response", response}});
  }

 private:
  std::string conclude(const AnswerChoice& last) {
    const bool cut = last.finish_reason == "length";
    Json& response = record_.response;
    response["status"] = cut ? "incomplete" : "completed";
    if (cut) response["incomplete_details"] = {{"reason", "max_output_tokens"}};
    if (!last.warning.empty()) response["warnings"] = {last.warning};
    return output_.close(cut ? "incomplete" : "completed");
  }
  // The response with its output, kept if that is wished.
  Json finished(const Account& account) {
    Json& response = record_.response;
    response["completed_at"] = static_cast<int64_t>(std::time(nullptr));
    response["output"] = output_.items();
    response["usage"] = usage_json(account.usage);
    response["timings"] = timings_json(account);
    if (record_.store) {
      for (const Json& item : output_.items()) record_.dialogue.push_back(item);
      record_.store->put(response["id"].get<std::string>(),
                         {to_text(response), to_text(record_.input), to_text(record_.dialogue)});
    }
    return response;
  }

  ResponseRecord record_;
  ResponseOutput output_;
};

}  // namespace

std::string new_response_id() {
  return new_id("resp_");
}

std::unique_ptr<AnswerFormat> responses_format(ResponseRecord record) {
  return std::make_unique<ResponsesFormat>(std::move(record));
}

}  // namespace mica

#include "bench/run/output_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "bench/client/request_body.h"

namespace mica {
namespace {

using Json = nlohmann::json;

const Json* member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

void read_chat_logprobs(const Json& content, GreedyAnswer& out) {
  for (const Json& token : content) {
    const Json* text = member(token, "token");
    const Json* logprob = member(token, "logprob");
    if (!text || !text->is_string() || !logprob || !logprob->is_number()) continue;
    out.tokens.push_back(text->get<std::string>());
    out.logprobs.push_back(logprob->get<double>());
  }
}

// Token ids mean nothing beside another engine's texts: only log-probabilities are taken then.
void read_list_logprobs(const Json& logprobs, GreedyAnswer& out) {
  const Json* values = member(logprobs, "token_logprobs");
  const Json* tokens = member(logprobs, "tokens");
  if (!values || !values->is_array()) return;
  for (const Json& value : *values)
    if (value.is_number()) out.logprobs.push_back(value.get<double>());
  if (!tokens || !tokens->is_array()) return;
  for (const Json& token : *tokens)
    if (token.is_string()) out.tokens.push_back(token.get<std::string>());
}

struct CheckPrompt {
  const char* text;
  const char* language;  // of a good answer; empty = code, data, numbers
};
constexpr CheckPrompt kPrompts[] = {
    {"What is the capital of France? Answer in one sentence.", "en"},
    {"Explain in three sentences why the sky is blue.", "en"},
    {"List the planets of the solar system in order, one a line.", ""},
    {"Write a Python function that tells whether a number is prime.", ""},
    {"What is 17 times 23? Show the steps.", ""},
    {"Translate into German: The train leaves at eight in the morning.", ""},
    {"请用一句话解释什么是重力。", "zh"},
    {"Назови три крупнейшие реки Европы.", "ru"},
    {"Summarize in one sentence: Water boils at a lower temperature on a mountain, because the "
     "pressure of the air is lower there, so that food takes longer to cook.",
     "en"},
    {"Give a JSON object with the keys name and age for a person of your choice.", ""},
    {"Who wrote the play Hamlet, and when was it first printed?", "en"},
    {"Continue the sequence and say the rule: 2, 6, 12, 20, 30,", ""},
};
constexpr size_t kAskedTwice = 3;  // the first ones

RequestSample ask(Client& client, const LaunchPlan& plan, const std::string& prompt, int64_t tokens,
                  bool logprobs) {
  RequestContent content;
  content.model = plan.served_name.value;
  content.messages = {{"user", {{prompt, ""}}}};
  content.stream = false;
  content.max_tokens = tokens;
  content.fields = {{"temperature", "0"}};
  if (logprobs) content.fields.emplace_back("logprobs", "true");
  const RequestBody body = request_body(plan.dialect, content);
  RequestSpec spec;
  spec.path = body.path;
  spec.body = body.json;
  spec.form = AnswerForm::kWhole;
  spec.keep_body = true;
  RequestSample out;
  client.submit(spec, [&out](RequestSample record) { out = std::move(record); });
  client.run();
  return out;
}

}  // namespace

const std::vector<std::string>& output_prompts() {
  static const std::vector<std::string> prompts = [] {
    std::vector<std::string> out;
    for (const CheckPrompt& prompt : kPrompts) out.emplace_back(prompt.text);
    return out;
  }();
  return prompts;
}

GreedyAnswer read_greedy_answer(const std::string& json) {
  GreedyAnswer out;
  const Json body = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  const Json* choices = member(body, "choices");
  if (!choices || !choices->is_array() || choices->empty()) return out;
  const Json& choice = choices->front();
  if (const Json* message = member(choice, "message"))
    for (const char* key : {"reasoning", "reasoning_content", "content"})
      if (const Json* text = member(*message, key); text && text->is_string()) {
        const std::string part = text->get<std::string>();
        if (part != out.text) out.text += part;  // some send the reasoning under both names
      }
  if (const Json* text = member(choice, "text"); text && text->is_string())
    out.text = text->get<std::string>();
  if (const Json* logprobs = member(choice, "logprobs")) {
    const Json* content = member(*logprobs, "content");
    if (content && content->is_array())
      read_chat_logprobs(*content, out);
    else
      read_list_logprobs(*logprobs, out);
  }
  if (out.tokens.size() != out.logprobs.size()) out.tokens.clear();
  // Some list the token that ended the answer, as "" or by its name.
  const Json* reason = member(choice, "finish_reason");
  const bool stopped = reason && *reason == "stop";
  if (!out.tokens.empty() &&
      (out.tokens.back().empty() || (stopped && !out.text.ends_with(out.tokens.back())))) {
    out.tokens.pop_back();
    out.logprobs.pop_back();
  }
  return out;
}

namespace {

// Servers that don't tell reasoning from an answer leave its mark in the text.
bool thinks(const RequestSample& record) {
  const size_t begin = record.answer.find_first_not_of(" \n");
  return !record.reasoning.empty() ||
         (begin != std::string::npos && record.answer.compare(begin, 7, "<think>") == 0);
}

bool unfinished(const RequestSample& record) {
  const bool open = record.answer.find("</think>") == std::string::npos;
  return record.finish_reason == "length" && thinks(record) &&
         (record.reasoning.empty() ? open : record.answer.empty());
}

class Checking {
 public:
  Checking(Client& client, const LaunchPlan& plan, int64_t tokens) : client_(client), plan_(plan) {
    check_.backend = plan.backend;
    check_.tokens = tokens;
  }

  OutputCheck run() {
    for (size_t i = 0; i < std::size(kPrompts); ++i) {
      RequestSample record = ask(kPrompts[i].text);
      if (i == 0 && record.ok() && thinks(record)) {
        check_.tokens *= kThinkingFactor;
        record = ask(kPrompts[i].text);
      }
      take(i, record);
    }
    for (size_t i = 0; i < kAskedTwice; ++i) ask_again(i);
    return std::move(check_);
  }

 private:
  RequestSample ask(const char* prompt) {
    RequestSample record = mica::ask(client_, plan_, prompt, check_.tokens, logprobs_);
    if (!logprobs_ || record.status != RequestStatus::kHttpError) return record;
    logprobs_ = false;
    return mica::ask(client_, plan_, prompt, check_.tokens, logprobs_);
  }

  void take(size_t i, const RequestSample& record) {
    if (!record.ok()) {
      check_.errors.push_back(
          fmt::format("prompt {}: {}: {}", i, name(record.status), record.error));
      check_.answers.emplace_back();
      return;
    }
    check_.answers.push_back(read_greedy_answer(record.body));
    check_.unfinished += unfinished(record);
    for (OutputFinding& finding : find_faults({.prompt = kPrompts[i].text,
                                  .reasoning = record.reasoning,
                                  .answer = record.answer,
                                  .finish_reason = record.finish_reason,
                                  .language = kPrompts[i].language}))
      // Counted as unfinished, when it is for want of tokens.
      if (finding.fault != OutputFault::kNoAnswer || record.finish_reason != "length")
        check_.faults.push_back({i, std::move(finding)});
  }

  void ask_again(size_t i) {
    const RequestSample record = ask(kPrompts[i].text);
    if (!record.ok() || check_.answers[i].text.empty()) return;
    ++check_.asked_again;
    check_.changed += read_greedy_answer(record.body).text != check_.answers[i].text;
  }

  Client& client_;
  const LaunchPlan& plan_;
  bool logprobs_ = true;
  OutputCheck check_;
};

}  // namespace

OutputCheck check_outputs(Client& client, const LaunchPlan& plan, int64_t tokens) {
  return Checking(client, plan, tokens).run();
}

std::vector<Mark> marks_of(const OutputCheck& check, const OutputCheck* reference) {
  std::vector<Mark> marks;
  const size_t asked = check.answers.size();
  if (!check.errors.empty())
    marks.push_back({Severity::kWarning, "output_check_failed",
                     fmt::format("{} of {} prompts of the output check failed; {}",
                                 check.errors.size(), asked, check.errors.front())});
  if (!check.faults.empty()) {
    std::set<size_t> prompts;
    for (const OutputCheck::Found& found : check.faults) prompts.insert(found.prompt);
    const OutputCheck::Found& first = check.faults.front();
    marks.push_back({2 * prompts.size() >= asked ? Severity::kInvalid : Severity::kWarning,
                     "broken_output",
                     fmt::format("{} of {} answers are broken; '{}': {}: {}", prompts.size(), asked,
                                 output_prompts()[first.prompt], name(first.finding.fault),
                                 first.finding.evidence)});
  }
  if (check.unfinished > 0)
    marks.push_back({Severity::kWarning, "unfinished_reasoning",
                     fmt::format("{} of {} answers of the output check ended within their "
                                 "reasoning: it thinks longer than {} tokens; raise --check-tokens",
                                 check.unfinished, asked, check.tokens)});
  if (check.changed > 0)
    marks.push_back({Severity::kNote, "nondeterministic",
                     fmt::format("{} of {} greedy prompts that were asked twice got another answer "
                                 "the second time; batches and caches change roundings",
                                 check.changed, check.asked_again)});
  if (!reference || reference == &check) return marks;
  const Agreement result = agreement(reference->answers, check.answers);
  const AgreementVerdict judged = verdict(result);
  std::string text =
      fmt::format("beside {}: {} of {} greedy answers are the same, {:.0f} % of the {}",
                  reference->backend, result.identical, result.prompts, 100 * result.same_share,
                  result.by_tokens ? "tokens" : "bytes");
  if (result.compared_logprobs > 0)
    text += fmt::format(", log-probabilities differ by {:.2g} on average, {:.2g} at most",
                        result.mean_logprob_distance, result.largest_logprob_distance);
  const bool different = judged == AgreementVerdict::kDifferent;
  if (different) text += "; these are other weights, another template, or a fault";
  marks.push_back({different ? Severity::kWarning : Severity::kNote,
                   fmt::format("outputs_{}", name(judged)), text});
  return marks;
}

}  // namespace mica

#include "bench/eval/eval_record.h"

#include <algorithm>

#include "base/error.h"
#include "bench/eval/match.h"
#include "bench/eval/text_units.h"
#include "text/answer/answer_style.h"

namespace mica {
namespace {

constexpr Outcome kOutcomes[] = {Outcome::kCorrect, Outcome::kWrong, Outcome::kTruncated,
                                 Outcome::kFailed};
constexpr ReasoningStyle kStyles[] = {ReasoningStyle::kThink,   ReasoningStyle::kLongcat,
                                      ReasoningStyle::kMistral, ReasoningStyle::kSeed,
                                      ReasoningStyle::kGemma,   ReasoningStyle::kHarmony};

void score_instructions(const Question& question, EvalRecord& record) {
  size_t strict = 0, loose = 0;
  for (const Instruction& instruction : question.instructions) {
    const InstructionVerdict verdict = judge(instruction, record.answer);
    strict += verdict.strict;
    loose += verdict.loose;
    record.instructions.push_back(
        {instruction.type->id, verdict.strict, verdict.loose, verdict.why});
    if (!verdict.strict && record.why.empty())
      record.why = fmt::format("{}: {}", instruction.type->id, verdict.why);
  }
  const size_t all = question.instructions.size();
  record.outcome = strict == all ? Outcome::kCorrect : Outcome::kWrong;
  record.loose = loose == all;
}

void put_tokens(OrderedJson& json, const char* key, int64_t tokens) {
  if (tokens != RequestSample::kUnknown) json[key] = tokens;
}

}  // namespace

const char* name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kCorrect: return "correct";
    case Outcome::kWrong: return "wrong";
    case Outcome::kTruncated: return "truncated";
    case Outcome::kFailed: return "failed";
  }
  MICA_CHECK(false);
}

AnswerText answer_text(const std::string& answer, const std::string& reasoning) {
  AnswerText out{answer, reasoning, false};
  // The template may have opened the reasoning, so that only its end is in the answer.
  for (const ReasoningStyle style : kStyles) {
    const ReasoningMarkers markers = reasoning_markers(style);
    const size_t close = answer.rfind(markers.close);
    const size_t open = answer.rfind(markers.open);
    const bool has_open = open != std::string::npos, has_close = close != std::string::npos;
    const bool begins = stripped(answer).starts_with(markers.open);
    if (!(begins || (has_close && !has_open))) continue;
    if (style == ReasoningStyle::kHarmony && !begins) continue;  // <|end|> ends other things too
    out.truncated = !has_close || (has_open && open > close);
    const size_t end = out.truncated ? answer.size() : close + markers.close.size();
    out.reasoning += answer.substr(0, end);
    out.answer = answer.substr(end);
    if (style == ReasoningStyle::kHarmony)
      if (const size_t final = out.answer.rfind("<|message|>"); final != std::string::npos)
        out.answer.erase(0, final + std::string_view("<|message|>").size());
    break;
  }
  if (stripped(out.answer).empty() && !out.reasoning.empty()) out.truncated = true;
  out.answer = std::string(stripped(out.answer));
  return out;
}

EvalRecord make_record(const Question& question, const RequestSample& request) {
  EvalRecord record;
  record.id = question.id;
  record.prompt_hash = question.prompt_hash;
  record.status = name(request.status);
  record.error = request.error;
  AnswerText text = answer_text(request.answer, request.reasoning);
  record.answer = std::move(text.answer);
  record.reasoning_bytes = static_cast<int64_t>(text.reasoning.size());
  record.finish_reason = request.finish_reason;
  record.prompt_tokens = request.prompt_tokens;
  record.completion_tokens = request.completion_tokens;
  record.reasoning_tokens = request.reasoning_tokens;
  if (request.sent >= 0) {
    record.seconds = request.ended - request.sent;
    if (request.first_token >= 0) record.first_token = request.first_token - request.sent;
  }
  score(question, text.truncated, record);
  return record;
}

void score(const Question& question, bool truncated, EvalRecord& record) {
  record.instructions.clear();
  record.why.clear();
  record.loose = false;
  if (record.status != name(RequestStatus::kOk)) {
    record.outcome = Outcome::kFailed;
    record.why = record.error.empty() ? record.status : record.status + ": " + record.error;
    return;
  }
  if (!question.expected) {
    score_instructions(question, record);
  } else {
    MatchResult result = match_answer(*question.expected, record.answer);
    record.outcome = result.right ? Outcome::kCorrect : Outcome::kWrong;
    record.loose = result.right;
    record.why = std::move(result.why);
  }
  if (!truncated) return;
  record.outcome = Outcome::kTruncated;
  record.loose = false;
  record.why = fmt::format("ended within its reasoning after {} bytes of it{}",
                           record.reasoning_bytes, record.cut() ? ", at its budget of tokens" : "");
}

OrderedJson record_json(const EvalRecord& record) {
  OrderedJson json = {{"id", record.id},
                      {"prompt_hash", record.prompt_hash},
                      {"status", record.status},
                      {"outcome", name(record.outcome)}};
  put(json, "why", record.why);
  put(json, "error", record.error);
  for (const InstructionResult& result : record.instructions) {
    OrderedJson item = {{"id", result.id}, {"strict", result.strict}, {"loose", result.loose}};
    put(item, "why", result.why);
    json["instructions"].push_back(std::move(item));
  }
  put(json, "finish_reason", record.finish_reason);
  put_tokens(json, "prompt_tokens", record.prompt_tokens);
  put_tokens(json, "completion_tokens", record.completion_tokens);
  put_tokens(json, "reasoning_tokens", record.reasoning_tokens);
  json["reasoning_bytes"] = record.reasoning_bytes;
  json["seconds"] = record.seconds;
  json["first_token"] = record.first_token;
  json["answer"] = record.answer;
  return json;
}

EvalRecord read_record(const JsonNode& node) {
  EvalRecord record;
  record.id = node.at("id").text();
  record.prompt_hash = node.at("prompt_hash").text();
  record.status = node.at("status").text();
  const JsonNode outcome = node.at("outcome");
  const auto* const found =
      std::find_if(std::begin(kOutcomes), std::end(kOutcomes),
                   [&](Outcome value) { return outcome.text() == name(value); });
  if (found == std::end(kOutcomes)) outcome.wrong("'correct', 'wrong', 'truncated' or 'failed'");
  record.outcome = *found;
  node.read("error", record.error);
  node.read("finish_reason", record.finish_reason);
  node.read("prompt_tokens", record.prompt_tokens);
  node.read("completion_tokens", record.completion_tokens);
  node.read("reasoning_tokens", record.reasoning_tokens);
  node.read("reasoning_bytes", record.reasoning_bytes);
  node.read("seconds", record.seconds);
  node.read("first_token", record.first_token);
  record.answer = node.at("answer").text();
  return record;
}

}  // namespace mica

#include "bench/run/answer_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/outputs/faults.h"

namespace mica {
namespace {

bool holds(const std::string& answer, const std::string& expected) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c; };
  const auto same = [&](char a, char b) { return lower(a) == lower(b); };
  return std::search(answer.begin(), answer.end(), expected.begin(), expected.end(), same) !=
         answer.end();
}

}  // namespace

void AnswerCheck::take(const RequestSample& sample, const std::string& expected) {
  if (sample.warmup || !sample.ok()) return;
  if (!expected.empty()) {
    ++asked_;
    right_ += holds(sample.answer, expected);
  }
  if (!judge_ || !sample.tool_calls.empty()) return;
  ++judged_;
  // Without the prompt: a translation is in another script, and well so.
  const std::vector<OutputFinding> found = find_faults({.reasoning = sample.reasoning,
                                                        .answer = sample.answer,
                                                        .finish_reason = sample.finish_reason});
  if (found.empty()) return;
  if (broken_++ == 0)
    first_ = fmt::format("request {}: {}{}", sample.id, name(found[0].fault),
                         quote_ ? ": " + found[0].evidence : "");
}

std::vector<Mark> AnswerCheck::marks() const {
  std::vector<Mark> marks;
  if (broken_ > 0)
    marks.push_back({2 * broken_ >= judged_ ? Severity::kInvalid : Severity::kWarning,
                     "broken_answers",
                     fmt::format("{} of {} answers are broken; {}", broken_, judged_, first_)});
  if (asked_ > 0)
    marks.push_back({Severity::kNote, "expected_answers",
                     fmt::format("{} of {} answers hold what they have to", right_, asked_)});
  return marks;
}

}  // namespace mica

// Whether the answers of a load are answers: those that ended by themselves, to prompts with sense.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/client/record.h"
#include "bench/statistics/checks.h"

namespace mica {

class AnswerCheck {
 public:
  // `judge`: look for faults (faults.h); a forced length makes loops that are nobody's fault.
  // `quote`: evidence may have pieces of answers.
  AnswerCheck(bool judge, bool quote) : judge_(judge), quote_(quote) {}

  // `expected`: what the answer has to hold, upper and lower case alike; empty = nothing.
  void take(const RequestSample& sample, const std::string& expected);

  // "broken_answers" (warning; invalid when it is half of them), "expected_answers" (note).
  std::vector<Mark> marks() const;

 private:
  const bool judge_, quote_;
  int64_t judged_ = 0, broken_ = 0, asked_ = 0, right_ = 0;
  std::string first_;  // what is wrong with the first broken one
};

}  // namespace mica

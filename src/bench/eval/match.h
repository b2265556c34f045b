// Whether an answer is the expected one.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/eval/question.h"

namespace mica {

struct MatchResult {
  bool right = false;
  std::string why;  // "found 20 (last number), expected 18"
};
MatchResult match_answer(const Expected& expected, std::string_view answer);

// The choice that an answer names: the letter alone, in \boxed{}, after the last "answer", or at
// the start of a line ("B. …"); or the only choice whose text is in it. Nothing when none or
// several.
std::optional<size_t> find_choice(std::string_view answer, const std::vector<std::string>& choices);

}  // namespace mica

// Tokens of prompts with their log-probabilities, for answers that show them.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "engine/request.h"
#include "server/answer_format.h"
#include "text/tokenizer/tokenizer.h"

namespace mica {

size_t code_points(std::string_view text);  // of valid UTF-8

ScoredToken scored_token(const Tokenizer& tokenizer, const SampleResult& token, size_t offset);

// `scores`: of the tokens from the second on (PromptScorer). Offsets are those in `text`, which
// the prompt was made of: special tokens take room where it has them, others don't.
std::vector<ScoredToken> scored_prompt(const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                                       std::span<const SampleResult> scores, std::string_view text);

}  // namespace mica

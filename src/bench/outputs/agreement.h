// How alike two engines answer the same prompts: same weights shall give the same tokens, until
// roundings of different kernels part them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mica {

// A greedy answer. `tokens` are texts of tokens with the log-probabilities that the server gave;
// empty where it gives none.
struct GreedyAnswer {
  std::string text;
  std::vector<std::string> tokens;
  std::vector<double> logprobs;
};

struct Agreement {
  int64_t prompts = 0;    // compared
  int64_t identical = 0;  // of these
  // Tokens until the first that differs, both answers over; of texts where a server names no
  // tokens: bytes.
  bool by_tokens = false;
  double same_share = 0;          // of all that could be the same
  int64_t first_difference = -1;  // earliest over all prompts; -1 = none
  // Over the tokens before the first difference and the one there: |log p - log p'|.
  int64_t compared_logprobs = 0;
  double mean_logprob_distance = 0, largest_logprob_distance = 0;
};

// Element i of both is the answer to prompt i. Where one answer is the beginning of the other, what
// is missing counts as different. Sizes must be equal.
Agreement agreement(const std::vector<GreedyAnswer>& reference,
                    const std::vector<GreedyAnswer>& other);

// What the figures say of two engines with the same weights.
enum class AgreementVerdict { kSame, kRounding, kDifferent };
// kRounding: the answers part, at distances that kernels explain: mean below 0.05, or, without
// log-probabilities, a tenth of the answers' length or more in common.
AgreementVerdict verdict(const Agreement& agreement);
const char* name(AgreementVerdict verdict);  // "same", "rounding", "different"

}  // namespace mica

#include "bench/outputs/agreement.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace mica {
namespace {

constexpr double kRoundingDistance = 0.05;  // nats, on average
constexpr double kRoundingShare = 0.1;

template <typename Sequence>
size_t common_prefix(const Sequence& a, const Sequence& b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                             a.begin());
}

bool has_tokens(const std::vector<GreedyAnswer>& answers) {
  return std::all_of(answers.begin(), answers.end(), [](const GreedyAnswer& answer) {
    return !answer.tokens.empty() || answer.text.empty();
  });
}

}  // namespace

Agreement agreement(const std::vector<GreedyAnswer>& reference,
                    const std::vector<GreedyAnswer>& other) {
  MICA_CHECK(reference.size() == other.size());
  Agreement out;
  out.by_tokens = has_tokens(reference) && has_tokens(other);
  size_t same = 0, possible = 0;
  double sum = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const GreedyAnswer& a = reference[i];
    const GreedyAnswer& b = other[i];
    ++out.prompts;
    const size_t a_size = out.by_tokens ? a.tokens.size() : a.text.size();
    const size_t b_size = out.by_tokens ? b.tokens.size() : b.text.size();
    const size_t common =
        out.by_tokens ? common_prefix(a.tokens, b.tokens) : common_prefix(a.text, b.text);
    same += common;
    possible += std::max(a_size, b_size);
    if (common == a_size && common == b_size) {
      ++out.identical;
    } else if (const auto at = static_cast<int64_t>(common);
               out.first_difference < 0 || at < out.first_difference) {
      out.first_difference = at;
    }
    // The token where they part was the likeliest for each, so their logprobs can be compared too.
    const size_t scored = std::min({common + 1, a.logprobs.size(), b.logprobs.size()});
    for (size_t t = 0; out.by_tokens && t < scored; ++t) {
      const double distance = std::abs(a.logprobs[t] - b.logprobs[t]);
      if (!std::isfinite(distance)) continue;
      ++out.compared_logprobs;
      sum += distance;
      out.largest_logprob_distance = std::max(out.largest_logprob_distance, distance);
    }
  }
  if (possible > 0) out.same_share = static_cast<double>(same) / static_cast<double>(possible);
  if (out.compared_logprobs > 0)
    out.mean_logprob_distance = sum / static_cast<double>(out.compared_logprobs);
  return out;
}

AgreementVerdict verdict(const Agreement& agreement) {
  if (agreement.identical == agreement.prompts) return AgreementVerdict::kSame;
  const bool near = agreement.compared_logprobs > 0
                        ? agreement.mean_logprob_distance < kRoundingDistance
                        : agreement.same_share >= kRoundingShare;
  return near ? AgreementVerdict::kRounding : AgreementVerdict::kDifferent;
}

const char* name(AgreementVerdict verdict) {
  switch (verdict) {
    case AgreementVerdict::kSame: return "same";
    case AgreementVerdict::kRounding: return "rounding";
    case AgreementVerdict::kDifferent: return "different";
  }
  MICA_CHECK(false);
}

}  // namespace mica

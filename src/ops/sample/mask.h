// Which tokens a row may draw, as bits: token t is bit t % 32 of word t / 32.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <span>

#include "base/error.h"

namespace mica {

inline size_t mask_words(int64_t vocabulary) {
  return static_cast<size_t>((vocabulary + 31) / 32);
}

inline bool allows(std::span<const uint32_t> allowed, int64_t token) {
  return (allowed[static_cast<size_t>(token / 32)] >> (token % 32) & 1) != 0;
}

// Bits beyond the vocabulary don't count.
inline int32_t count_allowed(std::span<const uint32_t> allowed, int64_t vocabulary) {
  int32_t count = 0;
  for (size_t i = 0; i < mask_words(vocabulary); ++i) {
    const int64_t left = vocabulary - static_cast<int64_t>(i) * 32;
    const uint32_t valid = left >= 32 ? ~uint32_t{0} : (uint32_t{1} << left) - 1;
    count += std::popcount(allowed[i] & valid);
  }
  return count;
}

// How many tokens a row may draw: an empty mask allows all. At least one must be allowed.
inline int32_t checked_allowed(std::span<const uint32_t> allowed, int64_t vocabulary) {
  if (allowed.empty()) return static_cast<int32_t>(vocabulary);
  MICA_CHECK_MSG(allowed.size() == mask_words(vocabulary), "mask of {} words for {} tokens",
                 allowed.size(), vocabulary);
  const int32_t count = count_allowed(allowed, vocabulary);
  MICA_CHECK_MSG(count > 0, "no token of {} is allowed", vocabulary);
  return count;
}

// Forbidden logits become minus infinity. Allowed ones of minus infinity or NaN become the lowest
// number, so that an allowed token always leads.
inline void apply_mask(std::span<const uint32_t> allowed, std::span<float> logits) {
  if (allowed.empty()) return;
  constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    float& logit = logits[i];
    if (!allows(allowed, static_cast<int64_t>(i)))
      logit = kMinusInfinity;
    else if (!(logit > kMinusInfinity))
      logit = std::numeric_limits<float>::lowest();
  }
}

}  // namespace mica

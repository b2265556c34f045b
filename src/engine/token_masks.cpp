#include "engine/token_masks.h"

#include <algorithm>

#include "base/error.h"
#include "ops/sample/mask.h"

namespace mica {

namespace {

// Calls the constraint; what it throws ends its request and no other.
template <typename Call>
void guarded(Job& job, Call&& call) {
  if (!job.error.empty()) return;
  try {
    call();
  } catch (const std::exception& error) {
    job.error = fmt::format("[constraint] {}", error.what());
  } catch (...) {
    job.error = "[constraint] it threw something unknown";
  }
}

}  // namespace

void TokenMasks::begin(Job& job) const {
  job.masked = 0;
  job.drafts_taken = 0;
}

std::span<const uint32_t> TokenMasks::mask(Job& job, int32_t ahead) const {
  const auto at = static_cast<size_t>(ahead);
  if (job.masks.size() <= at) job.masks.resize(at + 1);
  std::vector<uint32_t>& words = job.masks[at];
  if (job.masked > ahead) return words;
  job.masked = ahead + 1;
  guarded(job, [&] {
    if (!fill(job, ahead, words)) words.clear();
  });
  if (!job.error.empty()) words.clear();
  return words;
}

// False: every token is allowed.
bool TokenMasks::fill(Job& job, int32_t ahead, std::vector<uint32_t>& words) const {
  const bool too_short =
      job.generated() + ahead < job.request.min_tokens && !job.request.stop_token_ids.empty();
  if (!job.request.constraint && !too_short) return false;
  words.assign(mask_words(vocabulary_), 0);
  const bool limited = job.request.constraint && job.request.constraint->mask(words);
  if (!limited) {
    if (!too_short) return false;
    std::ranges::fill(words, ~uint32_t{0});
  } else if (count_allowed(words, vocabulary_) == 0) {
    throw Error(ErrorKind::kInternal, "no token of {} is allowed after {} tokens of the answer",
                vocabulary_, job.generated() + ahead);
  }
  if (too_short) forbid_stop_tokens(job, words);
  return true;
}

void TokenMasks::forbid_stop_tokens(const Job& job, std::vector<uint32_t>& words) const {
  const std::vector<uint32_t> before = words;
  for (int32_t token : job.request.stop_token_ids)
    if (token >= 0 && token < vocabulary_)
      words[static_cast<size_t>(token / 32)] &= ~(uint32_t{1} << token % 32);
  if (count_allowed(words, vocabulary_) == 0) words = before;
}

bool TokenMasks::take_draft(Job& job, int32_t token) const {
  if (token < 0 || token >= vocabulary_) return false;
  const std::span<const uint32_t> allowed = mask(job, job.drafts_taken);
  if (!job.error.empty() || (!allowed.empty() && !allows(allowed, token))) return false;
  guarded(job, [&] {
    if (job.request.constraint) job.request.constraint->accept(token);
    ++job.drafts_taken;
  });
  return job.error.empty();
}

void TokenMasks::accept(Job& job, std::span<const int32_t> tokens) const {
  const auto drafted = std::min(static_cast<size_t>(job.drafts_taken), tokens.size() - 1);
  guarded(job, [&] {
    TokenConstraint* constraint = job.request.constraint.get();
    if (!constraint) return;
    if (const auto back = job.drafts_taken - static_cast<int32_t>(drafted); back > 0)
      constraint->rollback(back);
    for (int32_t token : tokens.subspan(drafted)) constraint->accept(token);
  });
  begin(job);
}

}  // namespace mica

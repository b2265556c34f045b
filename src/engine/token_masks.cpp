#include "engine/token_masks.h"

#include <algorithm>

#include "base/error.h"
#include "ops/sample/mask.h"

namespace mica {

namespace {

// What the call threw; empty: nothing.
template <typename Call>
std::string failure_of(Call&& call) {
  try {
    call();
    return "";
  } catch (const std::exception& error) {
    return fmt::format("[constraint] {}", error.what());
  } catch (...) {
    return "[constraint] it threw something unknown";
  }
}

}  // namespace

std::span<const uint32_t> TokenMasks::mask(Job& job, int32_t ahead) const {
  MaskWalk& walk = job.walk;
  const auto at = static_cast<size_t>(ahead);
  if (walk.masks.size() <= at) walk.masks.resize(at + 1);
  std::vector<uint32_t>& words = walk.masks[at];
  if (walk.known > ahead) return words;
  walk.known = ahead + 1;
  bool limited = false;
  std::string failure = failure_of([&] { limited = fill(job, ahead, words); });
  if (!limited) words.clear();
  if (failure.empty()) return words;
  walk.sound = std::min(walk.sound, ahead);
  if (ahead == 0) job.error = std::move(failure);
  return words;
}

// False: every token is allowed.
bool TokenMasks::fill(const Job& job, int32_t ahead, std::vector<uint32_t>& words) const {
  const Request& request = job.request;
  const bool too_short =
      job.generated() + ahead < request.min_tokens && !request.stop_token_ids.empty();
  if (!request.constraint && !too_short) return false;
  words.assign(mask_words(vocabulary_), 0);
  if (!request.constraint || !request.constraint->mask(words)) {
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
  MaskWalk& walk = job.walk;
  if (token < 0 || token >= vocabulary_ || walk.sound <= walk.drafts_taken) return false;
  const std::span<const uint32_t> allowed = mask(job, walk.drafts_taken);
  if (walk.sound <= walk.drafts_taken || (!allowed.empty() && !allows(allowed, token)))
    return false;
  if (TokenConstraint* constraint = job.request.constraint.get())
    if (!failure_of([&] { constraint->accept(token); }).empty()) return false;
  ++walk.drafts_taken;
  return true;
}

void TokenMasks::drop_drafts(Job& job) const {
  MaskWalk& walk = job.walk;
  TokenConstraint* constraint = job.request.constraint.get();
  if (constraint && walk.drafts_taken > 0) {
    std::string failure = failure_of([&] { constraint->rollback(walk.drafts_taken); });
    if (!failure.empty() && job.error.empty()) job.error = std::move(failure);
  }
  walk.drafts_taken = 0;
  walk.known = std::min(walk.known, 1);
  if (walk.sound > 0) walk.sound = std::numeric_limits<int32_t>::max();
}

void TokenMasks::accept(Job& job, std::span<const int32_t> tokens) const {
  MaskWalk& walk = job.walk;
  TokenConstraint* constraint = job.request.constraint.get();
  if (constraint && job.error.empty()) {
    const auto drafted =
        static_cast<size_t>(std::min(walk.drafts_taken, static_cast<int32_t>(tokens.size()) - 1));
    job.error = failure_of([&] {
      const int32_t back = walk.drafts_taken - static_cast<int32_t>(drafted);
      if (back > 0) constraint->rollback(back);
      for (int32_t token : tokens.subspan(drafted)) constraint->accept(token);
    });
  }
  walk.drafts_taken = walk.known = 0;
  walk.sound = std::numeric_limits<int32_t>::max();
}

}  // namespace mica

#include "engine/ngram.h"

#include <algorithm>

#include "base/mix.h"

namespace mica {

namespace {

// Occurrences that are compared: a text of one repeated token has no end of them.
constexpr int32_t kMostCandidates = 32;
constexpr int32_t kNone = -1;

}  // namespace

uint64_t NgramIndex::key(std::span<const int32_t> tokens, int32_t end) const {
  uint64_t hash = 0x9e3779b97f4a7c15u;
  for (int32_t at = end - least_; at < end; ++at)
    hash = mix64(hash ^ static_cast<uint32_t>(tokens[static_cast<size_t>(at)]));
  return hash;
}

// All ends but the last token's: a suffix is not its own earlier occurrence.
void NgramIndex::add(std::span<const int32_t> tokens) {
  const auto length = static_cast<int32_t>(tokens.size());
  for (auto end = static_cast<int32_t>(earlier_.size()); end < length; ++end) {
    earlier_.push_back(kNone);
    if (end < least_) continue;
    const auto [found, fresh] = latest_.try_emplace(key(tokens, end), end);
    if (fresh) continue;
    earlier_.back() = found->second;
    found->second = end;
  }
}

std::vector<int32_t> NgramIndex::propose(std::span<const int32_t> tokens, int32_t count) {
  const auto length = static_cast<int32_t>(tokens.size());
  if (length < least_ || count <= 0) return {};
  add(tokens);
  const auto found = latest_.find(key(tokens, length));
  if (found == latest_.end()) return {};
  int32_t best = kNone, longest = least_ - 1;
  int32_t end = found->second;
  for (int32_t i = 0; i < kMostCandidates && end != kNone; ++i) {
    const auto at = [&](int32_t position) { return tokens[static_cast<size_t>(position)]; };
    int32_t same = 0;
    while (same < std::min(most_, end) && at(end - 1 - same) == at(length - 1 - same)) ++same;
    if (same > longest) longest = same, best = end;
    if (longest == most_) break;
    end = earlier_[static_cast<size_t>(end)];
  }
  if (best == kNone) return {};
  std::vector<int32_t> proposal;
  for (int32_t i = 0; i < count; ++i)
    proposal.push_back(best + i < length ? tokens[static_cast<size_t>(best + i)]
                                         : proposal[static_cast<size_t>(best + i - length)]);
  return proposal;
}

}  // namespace mica

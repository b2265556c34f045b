#include "engine/prefix_cache.h"

#include <algorithm>

#include "base/error.h"
#include "base/mix.h"

namespace mica {

uint64_t PrefixCache::default_hash(PrefixId prefix, std::span<const int32_t> tokens) {
  uint64_t hash = mix64(prefix + 0x9e3779b97f4a7c15u);
  for (int32_t token : tokens)
    hash = mix64(hash ^ static_cast<uint32_t>(token)) + 0x9e3779b97f4a7c15u;
  return hash;
}

PrefixCache::PrefixCache(BlockPool& pool, int32_t block_size, Hash hash)
    : pool_(pool),
      block_size_(static_cast<size_t>(block_size)),
      hash_(hash),
      entries_(static_cast<size_t>(pool.size())),
      tokens_(static_cast<size_t>(pool.size()) * static_cast<size_t>(block_size)) {
  pool_.on_evict([this](int32_t block) { forget(block); });
}

std::span<const int32_t> PrefixCache::stored(int32_t block) const {
  return {tokens_.data() + static_cast<size_t>(block) * block_size_, block_size_};
}

std::optional<int32_t> PrefixCache::find(PrefixId prefix, std::span<const int32_t> tokens) const {
  MICA_CHECK(tokens.size() == block_size_);
  const auto found = by_hash_.find(hash_(prefix, tokens));
  if (found == by_hash_.end()) return std::nullopt;
  const int32_t block = found->second;
  if (entries_[static_cast<size_t>(block)].parent != prefix) return std::nullopt;
  if (!std::ranges::equal(stored(block), tokens)) return std::nullopt;
  return block;
}

std::optional<int32_t> PrefixCache::insert(PrefixId prefix, std::span<const int32_t> tokens,
                                           int32_t block) {
  if (const auto known = find(prefix, tokens)) return known;
  Entry& entry = entries_[static_cast<size_t>(block)];
  MICA_CHECK_MSG(entry.id == 0, "block {} is findable already", block);
  const uint64_t hash = hash_(prefix, tokens);
  if (!by_hash_.emplace(hash, block).second) return std::nullopt;
  entry = {.id = ++last_id_, .parent = prefix, .hash = hash};
  std::ranges::copy(tokens, tokens_.begin() + static_cast<ptrdiff_t>(block) *
                                                  static_cast<ptrdiff_t>(block_size_));
  pool_.set_findable(block);
  return block;
}

PrefixId PrefixCache::prefix_of(int32_t block) const {
  const PrefixId id = entries_[static_cast<size_t>(block)].id;
  MICA_CHECK_MSG(id != 0, "block {} is not findable", block);
  return id;
}

void PrefixCache::clear() {
  for (size_t block = 0; block < entries_.size(); ++block) {
    if (entries_[block].id == 0) continue;
    forget(static_cast<int32_t>(block));
    pool_.forget(static_cast<int32_t>(block));
  }
}

void PrefixCache::forget(int32_t block) {
  Entry& entry = entries_[static_cast<size_t>(block)];
  MICA_CHECK(entry.id != 0);
  by_hash_.erase(entry.hash);
  entry = {};
}

}  // namespace mica

// Which full block holds which tokens after which prefix, so that equal prompts share blocks.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/block_pool.h"

namespace mica {

// The identity of the tokens up to the end of a block: a number given once and never reused, so
// that by induction equal ids mean equal tokens from position 0 on. 0 is the empty prefix.
using PrefixId = uint64_t;

// A tree of full blocks. Entries are found by a hash of (prefix id, tokens) and compared with the
// stored tokens: a collision loses a hit and never serves wrong content. Entries outlive their
// holders until the pool hands the block out again. A holder releases its blocks last one first,
// so the pool takes the leaves of the tree before their parents.
class PrefixCache {
 public:
  // The empty prefix of sequences that run with an adapter: they share with their like only.
  static PrefixId root(int64_t adapter) {
    return adapter == 0 ? 0 : (PrefixId{1} << 63) + static_cast<PrefixId>(adapter);
  }

  using Hash = uint64_t (*)(PrefixId prefix, std::span<const int32_t> tokens);
  static uint64_t default_hash(PrefixId prefix, std::span<const int32_t> tokens);

  PrefixCache(BlockPool& pool, int32_t block_size, Hash hash = &default_hash);
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // The block with exactly `tokens` (block_size of them) after `prefix`; not retained yet.
  std::optional<int32_t> find(PrefixId prefix, std::span<const int32_t> tokens) const;

  // Makes a held, completely computed block findable. Returns the block that holds this content
  // from now on: `block`, or an earlier one with the same content. nullopt when the hash belongs to
  // other content: the block stays unknown.
  std::optional<int32_t> insert(PrefixId prefix, std::span<const int32_t> tokens, int32_t block);

  // The prefix that ends with a findable block.
  PrefixId prefix_of(int32_t block) const;

  void clear();  // no block is findable any more

  int64_t entries() const { return static_cast<int64_t>(by_hash_.size()); }

 private:
  struct Entry {
    PrefixId id = 0;  // 0 = not findable
    PrefixId parent = 0;
    uint64_t hash = 0;
  };
  std::span<const int32_t> stored(int32_t block) const;
  void forget(int32_t block);

  BlockPool& pool_;
  const size_t block_size_;
  const Hash hash_;
  PrefixId last_id_ = 0;
  std::vector<Entry> entries_;   // by block
  std::vector<int32_t> tokens_;  // [blocks, block_size]
  std::unordered_map<uint64_t, int32_t> by_hash_;
};

}  // namespace mica

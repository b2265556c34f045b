// The blocks of the KV cache: who holds which, and in what order free ones are handed out again.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

namespace mica {

// Reference-counted block numbers 0 .. blocks - 1; the memory behind them lies elsewhere. A block
// that nobody holds is free. A free block may still be *findable*: the prefix cache knows its
// content and can retain it again. Free blocks without content are handed out first, findable ones
// after them, least recently released first. All operations are O(1).
//
// A block's generation counts how often it was handed out: who keeps facts about a block's content
// elsewhere compares it.
class BlockPool {
 public:
  explicit BlockPool(int32_t blocks);

  // A block with one reference, or nullopt when all are held. A findable block is forgotten first
  // (`on_evict`).
  std::optional<int32_t> allocate();
  void retain(int32_t block);  // one more holder; also takes a free block out of the free list
  void release(int32_t block);

  // Whether the prefix cache knows the content of a held block.
  void set_findable(int32_t block);
  // The prefix cache forgets a block, held or free.
  void forget(int32_t block);
  // At most so many free blocks stay findable; the least recently released are evicted.
  void limit_cached(int32_t blocks) { cached_limit_ = blocks; }
  // Called with a findable block that is about to lose its content.
  void on_evict(std::function<void(int32_t)> evict) { evict_ = std::move(evict); }

  int32_t size() const { return static_cast<int32_t>(references_.size()); }
  int32_t available() const { return available_; }      // held by nobody
  int32_t used() const { return size() - available_; }  // held by somebody
  int32_t cached() const { return cached_; }            // held by nobody, yet findable
  uint64_t evictions() const { return evictions_; }  // findable blocks that were forgotten for room
  int32_t references(int32_t block) const;
  uint32_t generation(int32_t block) const { return generations_[static_cast<size_t>(block)]; }

 private:
  void link(int32_t block, int32_t head, bool at_front);
  void unlink(int32_t block);
  void evict(int32_t block);
  int32_t index(int32_t block) const;
  int32_t blank_head() const { return size(); }
  int32_t cached_head() const { return size() + 1; }

  // Two doubly linked lists of free blocks through these arrays: without content, and findable.
  std::vector<int32_t> next_, previous_;
  std::vector<uint32_t> generations_;
  std::vector<int32_t> references_;
  std::vector<bool> findable_;
  int32_t available_ = 0;
  int32_t cached_ = 0;
  int32_t cached_limit_ = std::numeric_limits<int32_t>::max();
  uint64_t evictions_ = 0;
  std::function<void(int32_t)> evict_;
};

}  // namespace mica

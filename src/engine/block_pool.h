// The blocks of the KV cache: who holds which, and in what order free ones are handed out again.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace mica {

// Reference-counted block numbers 0 .. blocks - 1; the memory behind them lies elsewhere. A block
// that nobody holds is free. A free block may still be *findable*: the prefix cache knows its
// content and can retain it again. Free blocks without content are handed out first, findable ones
// after them, least recently released first. All operations are O(1).
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
  // Called by `allocate` with a findable block that is about to lose its content.
  void on_evict(std::function<void(int32_t)> evict) { evict_ = std::move(evict); }

  int32_t size() const { return static_cast<int32_t>(references_.size()); }
  int32_t available() const { return available_; }      // held by nobody
  int32_t used() const { return size() - available_; }  // held by somebody
  int32_t cached() const { return cached_; }            // held by nobody, yet findable
  int32_t references(int32_t block) const;

 private:
  void link(int32_t block, bool at_front);
  void unlink(int32_t block);
  int32_t index(int32_t block) const;

  // The free list is doubly linked through these arrays; entry `size()` is its head.
  std::vector<int32_t> next_, previous_;
  std::vector<int32_t> references_;
  std::vector<bool> findable_;
  int32_t available_ = 0;
  int32_t cached_ = 0;
  std::function<void(int32_t)> evict_;
};

}  // namespace mica

#include "engine/block_pool.h"

#include "base/error.h"

namespace mica {

BlockPool::BlockPool(int32_t blocks)
    : next_(static_cast<size_t>(blocks) + 2),
      previous_(static_cast<size_t>(blocks) + 2),
      generations_(static_cast<size_t>(blocks)),
      references_(static_cast<size_t>(blocks)),
      findable_(static_cast<size_t>(blocks)),
      available_(blocks) {
  MICA_CHECK(blocks > 0);
  for (int32_t block = 0; block <= blocks; ++block) {
    next_[static_cast<size_t>(block)] = block == blocks ? 0 : block + 1;
    previous_[static_cast<size_t>(block)] = block == 0 ? blocks : block - 1;
  }
  next_.back() = previous_.back() = cached_head();
}

int32_t BlockPool::index(int32_t block) const {
  MICA_CHECK_MSG(block >= 0 && block < size(), "block {} of {}", block, size());
  return block;
}

int32_t BlockPool::references(int32_t block) const {
  return references_[static_cast<size_t>(index(block))];
}

void BlockPool::unlink(int32_t block) {
  const auto at = static_cast<size_t>(block);
  next_[static_cast<size_t>(previous_[at])] = next_[at];
  previous_[static_cast<size_t>(next_[at])] = previous_[at];
  --available_;
  if (findable_[at]) --cached_;
}

void BlockPool::link(int32_t block, int32_t head, bool at_front) {
  const auto at = static_cast<size_t>(block);
  const int32_t after = at_front ? head : previous_[static_cast<size_t>(head)];
  const int32_t before = next_[static_cast<size_t>(after)];
  previous_[at] = after;
  next_[at] = before;
  next_[static_cast<size_t>(after)] = block;
  previous_[static_cast<size_t>(before)] = block;
  ++available_;
  if (findable_[at]) ++cached_;
}

void BlockPool::evict(int32_t block) {
  if (evict_) evict_(block);
  findable_[static_cast<size_t>(block)] = false;
  ++evictions_;
}

std::optional<int32_t> BlockPool::allocate() {
  if (available_ == 0) return std::nullopt;
  int32_t block = next_[static_cast<size_t>(blank_head())];
  if (block == blank_head()) block = next_[static_cast<size_t>(cached_head())];
  unlink(block);
  if (findable_[static_cast<size_t>(block)]) evict(block);
  references_[static_cast<size_t>(block)] = 1;
  ++generations_[static_cast<size_t>(block)];
  return block;
}

void BlockPool::retain(int32_t block) {
  if (references_[static_cast<size_t>(index(block))]++ == 0) unlink(block);
}

void BlockPool::release(int32_t block) {
  int32_t& references = references_[static_cast<size_t>(index(block))];
  MICA_CHECK_MSG(references > 0, "block {} released more often than held", block);
  if (--references > 0) return;
  if (!findable_[static_cast<size_t>(block)]) return link(block, blank_head(), /*at_front=*/true);
  link(block, cached_head(), /*at_front=*/false);
  if (cached_ <= cached_limit_) return;
  const int32_t oldest = next_[static_cast<size_t>(cached_head())];
  unlink(oldest);
  evict(oldest);
  link(oldest, blank_head(), /*at_front=*/true);
}

void BlockPool::set_findable(int32_t block) {
  MICA_CHECK(references(block) > 0);
  findable_[static_cast<size_t>(block)] = true;
}

void BlockPool::forget(int32_t block) {
  const bool free = references(block) == 0;
  if (free) unlink(block);
  findable_[static_cast<size_t>(block)] = false;
  if (free) link(block, blank_head(), /*at_front=*/true);
}

}  // namespace mica

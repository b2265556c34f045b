#include "text/tokenizer/vocab.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace mica::tok {

uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15;
  uint64_t h = bytes.size() * kMultiplier;
  const char* p = bytes.data();
  size_t left = bytes.size();
  const auto mix = [&h](uint64_t word) {
    h = (h ^ word) * kMultiplier;
    h ^= h >> 29;
  };
  for (; left >= 8; p += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    mix(word);
  }
  if (left > 0) {
    uint64_t word = 0;
    std::memcpy(&word, p, left);
    mix(word);
  }
  return h ^ h >> 32;
}

void Vocab::reserve(size_t tokens, size_t bytes) {
  arena_.reserve(bytes);
  entries_.reserve(tokens);
  grow(std::bit_ceil(std::max<size_t>(tokens * 2, 16)));
}

void Vocab::grow(size_t slots) {
  slots_.assign(slots, Slot());
  for (uint32_t i = 0; i < entries_.size(); i++) {
    const uint64_t hash = hash_bytes(bytes_of(entries_[i]));
    size_t at = hash & (slots - 1);
    while (slots_[at].entry != 0) at = (at + 1) & (slots - 1);
    slots_[at] = {static_cast<uint32_t>(hash >> 32), i + 1};
  }
}

void Vocab::add(std::string_view token, int32_t id) {
  if ((entries_.size() + 1) * 2 > slots_.size()) grow(std::max<size_t>(16, slots_.size() * 2));
  const uint64_t hash = hash_bytes(token);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  for (; slots_[at].entry != 0; at = (at + 1) & mask) {
    Entry& known = entries_[slots_[at].entry - 1];
    if (slots_[at].hash == tag && bytes_of(known) == token) {
      known.id = id;
      break;
    }
  }
  if (slots_[at].entry == 0) {
    entries_.push_back(
        {static_cast<uint32_t>(arena_.size()), static_cast<uint32_t>(token.size()), id});
    arena_.append(token);
    slots_[at] = {tag, static_cast<uint32_t>(entries_.size())};
    longest_ = std::max(longest_, token.size());
  }
  if (static_cast<size_t>(id) >= by_id_.size()) {
    if (by_id_.capacity() <= static_cast<size_t>(id))
      by_id_.reserve(std::max<size_t>(entries_.capacity(), static_cast<size_t>(id) * 3 / 2 + 1));
    by_id_.resize(static_cast<size_t>(id) + 1);
  }
  by_id_[static_cast<size_t>(id)] = slots_[at].entry;
}

int32_t Vocab::find_or(std::string_view token, int32_t none, size_t* where) const {
  if (slots_.empty()) return none;
  const uint64_t hash = hash_bytes(token);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at].entry != 0; at = (at + 1) & mask) {
    if (slots_[at].hash != tag) continue;
    const Entry& e = entries_[slots_[at].entry - 1];
    if (bytes_of(e) != token) continue;
    if (where) *where = slots_[at].entry - 1;
    return e.id;
  }
  return none;
}

bool Vocab::has_id(int32_t id) const {
  return id >= 0 && static_cast<size_t>(id) < by_id_.size() && by_id_[static_cast<size_t>(id)] != 0;
}

std::string_view Vocab::token(int32_t id) const {
  return has_id(id) ? bytes_of(entries_[by_id_[static_cast<size_t>(id)] - 1]) : std::string_view();
}

}  // namespace mica::tok

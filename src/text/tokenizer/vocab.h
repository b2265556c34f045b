// Tokens and their ids: one arena of bytes, an open-addressing hash table, an array by id.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mica::tok {

// Ids at or above this are refused: the table by id would take gigabytes.
constexpr int64_t kMaxTokenId = int64_t{1} << 23;

uint64_t hash_bytes(std::string_view bytes);

class Vocab {
 public:
  void reserve(size_t tokens, size_t bytes);
  // A token that is already known gets the new id. 0 <= id < kMaxTokenId.
  void add(std::string_view token, int32_t id);
  std::optional<int32_t> find(std::string_view token) const {
    const int32_t id = find_or(token, -1);
    return id < 0 ? std::nullopt : std::optional(id);
  }
  int32_t find_or(std::string_view token, int32_t none, size_t* where = nullptr) const;
  // The same for tokens asked in about the order of their addition: `hint` is where the last one
  // was.
  int32_t find_near(std::string_view token, size_t& hint) const {
    for (size_t i = hint; i < entries_.size() && i < hint + 3; i++)
      if (bytes_of(entries_[i]) == token) return hint = i, entries_[i].id;
    return find_or(token, -1, &hint);
  }
  std::string_view token(int32_t id) const;  // "" when unknown
  bool has_id(int32_t id) const;
  size_t size() const { return entries_.size(); }  // distinct tokens
  int32_t id_limit() const { return static_cast<int32_t>(by_id_.size()); }
  size_t longest() const { return longest_; }  // bytes

  // Calls visit(token, id) for each token in the order of their first addition.
  template <typename Visit>
  void each(Visit visit) const {
    for (const Entry& e : entries_) visit(bytes_of(e), e.id);
  }

 private:
  struct Entry {
    uint32_t offset, length;
    int32_t id;
  };
  struct Slot {
    uint32_t hash = 0, entry = 0;  // entry: index + 1, 0 = free
  };
  std::string_view bytes_of(const Entry& e) const { return {arena_.data() + e.offset, e.length}; }
  void grow(size_t slots);

  std::string arena_;
  std::vector<Entry> entries_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> by_id_;  // entry index + 1
  size_t longest_ = 0;
};

}  // namespace mica::tok

// Prompt lookup: what followed the last tokens when they came before.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace mica {

// An index over the tokens of one sequence, which only grows. Positions with the same last
// `least` tokens form a chain, latest first.
class NgramIndex {
 public:
  // Suffixes of `least` to `most` tokens are looked up.
  NgramIndex(int32_t least, int32_t most) : least_(least), most_(most) {}

  // `count` tokens that followed the longest earlier occurrence of the last tokens, the latest of
  // those, and where the text ends, what follows if it goes round; empty when there is none.
  // `tokens` begins with what was given before.
  std::vector<int32_t> propose(std::span<const int32_t> tokens, int32_t count);

 private:
  void add(std::span<const int32_t> tokens);
  uint64_t key(std::span<const int32_t> tokens, int32_t end) const;

  const int32_t least_, most_;
  std::unordered_map<uint64_t, int32_t> latest_;  // by hash of `least` tokens: their end
  std::vector<int32_t> earlier_;                  // by end: the end before it with the same hash
};

}  // namespace mica

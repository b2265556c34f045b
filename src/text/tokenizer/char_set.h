// Sets of code points in a compiled form with constant-time lookup.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "text/range_set.h"

namespace mica::tok {

// Two-stage bitmap: 256 code points a block, equal blocks stored once.
class CharSet {
 public:
  CharSet() : CharSet(RangeSet()) {}
  explicit CharSet(const RangeSet& set);
  bool ascii(uint8_t c) const { return ascii_[c >> 6] >> (c & 63) & 1; }  // c < 128
  bool contains(char32_t c) const { return blocks_[index_[c >> 8]][c >> 6 & 3] >> (c & 63) & 1; }

 private:
  std::array<uint64_t, 2> ascii_{};
  std::array<uint16_t, (kMaxCodePoint >> 8) + 1> index_{};
  std::vector<std::array<uint64_t, 4>> blocks_;
};

}  // namespace mica::tok

// Sets of code points: an algebra on ranges, and a compiled form with constant-time lookup.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace mica::tok {

constexpr char32_t kMaxCodePoint = 0x10FFFF;

// Sorted, disjoint, inclusive ranges.
class RangeSet {
 public:
  using Range = std::pair<char32_t, char32_t>;
  RangeSet() = default;
  explicit RangeSet(std::vector<Range> ranges);  // any order, may overlap
  static RangeSet single(char32_t c) { return RangeSet({{c, c}}); }
  static RangeSet all() { return RangeSet({{0, kMaxCodePoint}}); }

  RangeSet operator|(const RangeSet& other) const;
  RangeSet operator&(const RangeSet& other) const;
  RangeSet operator~() const;
  RangeSet operator-(const RangeSet& other) const { return *this & ~other; }
  bool operator==(const RangeSet& other) const = default;
  bool contains(char32_t c) const;
  bool empty() const { return ranges_.empty(); }
  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  std::vector<Range> ranges_;
};

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

// Sets of code points as ranges: what classes of regular expressions and grammars are.
#pragma once

#include <utility>
#include <vector>

namespace mica {

constexpr char32_t kMaxCodePoint = 0x10FFFF;

// Sorted, disjoint, inclusive ranges.
class RangeSet {
 public:
  using Range = std::pair<char32_t, char32_t>;
  RangeSet() = default;
  explicit RangeSet(std::vector<Range> ranges);  // any order, may overlap or be empty
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

}  // namespace mica

#include "text/range_set.h"

#include <algorithm>

namespace mica {

RangeSet::RangeSet(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end());
  for (const Range& r : ranges) {
    if (r.first > r.second) continue;
    if (!ranges_.empty() && r.first <= ranges_.back().second + 1)
      ranges_.back().second = std::max(ranges_.back().second, r.second);
    else
      ranges_.push_back(r);
  }
}

RangeSet RangeSet::operator|(const RangeSet& other) const {
  std::vector<Range> both = ranges_;
  both.insert(both.end(), other.ranges_.begin(), other.ranges_.end());
  return RangeSet(std::move(both));
}

RangeSet RangeSet::operator&(const RangeSet& other) const {
  RangeSet out;
  auto a = ranges_.begin();
  auto b = other.ranges_.begin();
  while (a != ranges_.end() && b != other.ranges_.end()) {
    char32_t low = std::max(a->first, b->first);
    char32_t high = std::min(a->second, b->second);
    if (low <= high) out.ranges_.push_back({low, high});
    if (a->second < b->second)
      ++a;
    else
      ++b;
  }
  return out;
}

RangeSet RangeSet::operator~() const {
  RangeSet out;
  char32_t next = 0;
  for (const Range& r : ranges_) {
    if (r.first > next) out.ranges_.push_back({next, r.first - 1});
    next = r.second + 1;
  }
  if (next <= kMaxCodePoint) out.ranges_.push_back({next, kMaxCodePoint});
  return out;
}

bool RangeSet::contains(char32_t c) const {
  auto it = std::upper_bound(ranges_.begin(), ranges_.end(), c,
                             [](char32_t v, const Range& r) { return v < r.first; });
  return it != ranges_.begin() && c <= std::prev(it)->second;
}

}  // namespace mica

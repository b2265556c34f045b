#include "text/tokenizer/char_set.h"

#include <algorithm>
#include <map>

namespace mica::tok {

RangeSet::RangeSet(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end());
  for (const Range& r : ranges) {
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

CharSet::CharSet(const RangeSet& set) {
  std::map<std::array<uint64_t, 4>, uint16_t> known;
  const auto& ranges = set.ranges();
  size_t at = 0;
  for (uint32_t block = 0; block < index_.size(); block++) {
    const char32_t low = block << 8, high = low | 255;
    std::array<uint64_t, 4> bits{};
    while (at < ranges.size() && ranges[at].second < low) at++;
    for (size_t i = at; i < ranges.size() && ranges[i].first <= high; i++) {
      char32_t last = std::min(ranges[i].second, high);
      for (char32_t c = std::max(ranges[i].first, low); c <= last; c++)
        bits[c >> 6 & 3] |= uint64_t{1} << (c & 63);
    }
    auto [it, added] = known.try_emplace(bits, static_cast<uint16_t>(blocks_.size()));
    if (added) blocks_.push_back(bits);
    index_[block] = it->second;
    if (block == 0) ascii_ = {bits[0], bits[1]};
  }
}

}  // namespace mica::tok

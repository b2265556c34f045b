#include "text/tokenizer/char_set.h"

#include <algorithm>
#include <map>

namespace mica::tok {

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

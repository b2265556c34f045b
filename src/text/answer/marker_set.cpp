#include "text/answer/marker_set.h"

#include <algorithm>

namespace mica {

MarkerSet::MarkerSet(std::vector<std::string> markers) : markers_(std::move(markers)) {
  std::sort(markers_.begin(), markers_.end());
  markers_.erase(std::unique(markers_.begin(), markers_.end()), markers_.end());
  if (!markers_.empty() && markers_.front().empty()) markers_.erase(markers_.begin());
  for (const std::string& marker : markers_) first_[static_cast<unsigned char>(marker[0])] = true;
}

MarkerSet::Match MarkerSet::match(std::string_view text, bool final) const {
  if (text.empty() || !begins(text[0])) return {};
  auto low = markers_.begin(), high = markers_.end();  // those that begin with text[0, i)
  Match found;
  for (size_t i = 0;; ++i) {
    if (low != high && low->size() == i) {
      found = {Match::Kind::kFound, i};
      ++low;
    }
    if (low == high) return found;
    if (i == text.size()) return final ? found : Match{Match::Kind::kPartial, 0};
    const auto c = static_cast<unsigned char>(text[i]);
    auto byte = [i](const std::string& marker) { return static_cast<unsigned char>(marker[i]); };
    low = std::partition_point(low, high, [&](const auto& marker) { return byte(marker) < c; });
    high = std::partition_point(low, high, [&](const auto& marker) { return byte(marker) == c; });
  }
}

bool MarkerSet::contains(std::string_view marker) const {
  return std::binary_search(markers_.begin(), markers_.end(), marker);
}

}  // namespace mica

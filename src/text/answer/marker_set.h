// A set of marker texts, searched in a text that arrives in pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

// Immutable: one set of a model's special tokens serves all its requests and threads.
class MarkerSet {
 public:
  MarkerSet() = default;
  explicit MarkerSet(std::vector<std::string> markers);  // empty ones and duplicates are left out

  struct Match {
    enum class Kind : uint8_t {
      kNone,     // no marker begins at the text's first byte
      kPartial,  // the text ends before that is known
      kFound,
    } kind = Kind::kNone;
    size_t bytes = 0;  // kFound: the longest marker's length
  };
  // Which marker `text` begins with. `final`: no more text follows, so the answer is never
  // kPartial.
  Match match(std::string_view text, bool final) const;
  bool contains(std::string_view marker) const;
  // Whether some marker begins with this byte.
  bool begins(char c) const { return first_[static_cast<unsigned char>(c)]; }
  bool empty() const { return markers_.empty(); }

 private:
  std::vector<std::string> markers_;  // sorted
  bool first_[256] = {};
};

}  // namespace mica

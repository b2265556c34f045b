// Sets of Unicode code points and their UTF-8.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mica::grammar {

constexpr uint32_t kMaxCodePoint = 0x10FFFF;

// Sorted, disjoint, inclusive ranges, not touching each other. Surrogates may be members; they have
// no UTF-8 and match nothing.
class CodePoints {
 public:
  using Range = std::pair<uint32_t, uint32_t>;
  CodePoints() = default;
  explicit CodePoints(std::vector<Range> ranges);  // in any order, may overlap
  static CodePoints all() { return CodePoints({{0, kMaxCodePoint}}); }
  static CodePoints single(uint32_t c) { return CodePoints({{c, c}}); }

  CodePoints operator|(const CodePoints& other) const;
  CodePoints operator&(const CodePoints& other) const;
  CodePoints operator~() const;
  bool operator==(const CodePoints&) const = default;
  bool contains(uint32_t c) const;
  bool empty() const { return ranges_.empty(); }
  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  std::vector<Range> ranges_;
};

// One to four byte ranges in a row: the UTF-8 of a block of code points.
struct Utf8Sequence {
  int length = 0;
  std::array<std::pair<uint8_t, uint8_t>, 4> bytes;
};
// Together exactly the UTF-8 of the set.
std::vector<Utf8Sequence> utf8_sequences(const CodePoints& set);

void append_utf8(std::string& out, uint32_t c);  // c is not a surrogate
// The character at `at`, which moves behind it; -1 where the bytes are not UTF-8.
int32_t next_code_point(std::string_view text, size_t& at);
// False where the bytes are not UTF-8.
bool decode_utf8(std::string_view text, std::vector<uint32_t>& out);

// A general category ("Lu", "L") or its long name ("Letter"), White_Space excluded; empty when
// unknown.
CodePoints category_set(std::string_view name);

}  // namespace mica::grammar

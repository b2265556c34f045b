// The UTF-8 of sets of code points.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/range_set.h"
#include "text/utf8.h"

namespace mica::grammar {

// Surrogates may be members; they have no UTF-8 and match nothing.
using CodePoints = RangeSet;

// One to four byte ranges in a row: the UTF-8 of a block of code points.
struct Utf8Sequence {
  int length = 0;
  std::array<std::pair<uint8_t, uint8_t>, 4> bytes;
};
// Together exactly the UTF-8 of the set.
std::vector<Utf8Sequence> utf8_sequences(const CodePoints& set);

// The character at `at`, which moves behind it; -1 where the bytes are not UTF-8.
int32_t next_code_point(std::string_view text, size_t& at);
// False where the bytes are not UTF-8.
bool decode_utf8(std::string_view text, std::vector<uint32_t>& out);

// A general category ("Lu", "L") or its long name ("Letter"), White_Space excluded; empty when
// unknown.
CodePoints category_set(std::string_view name);

}  // namespace mica::grammar

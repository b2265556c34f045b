#include "bench/client/foreign_text.h"

#include <simdjson.h>

#include <algorithm>

namespace mica {

std::string shown(std::string_view bytes) {
  constexpr size_t kShown = 300;
  std::string out(bytes.substr(0, kShown));
  if (bytes.size() > kShown) {
    // Not within a code point: what follows the cut is no continuation byte then.
    while (!out.empty() && (static_cast<unsigned char>(bytes[out.size()]) & 0xC0) == 0x80)
      out.pop_back();
    out += "…";
  }
  const bool valid = simdjson::validate_utf8(out);
  const auto odd = [valid](unsigned char c) {
    return c < ' ' || c == 0x7f || (c >= 0x80 && !valid);
  };
  std::replace_if(out.begin(), out.end(), odd, ' ');
  return out;
}

}  // namespace mica

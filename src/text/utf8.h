// UTF-8 of a code point: for tokenizers, templates, grammars and answers.
#pragma once

#include <cstdint>
#include <string>

namespace mica {

// `c` is at most U+10FFFF; a surrogate gets three bytes, which are no UTF-8.
inline void append_utf8(std::string& out, char32_t c) {
  const auto put = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) return put(0xC0 | c >> 6), put(0x80 | (c & 63));
  if (c < 0x10000) return put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
  put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 63)), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
}

}  // namespace mica

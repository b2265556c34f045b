// The byte-level alphabet: 256 printable characters that stand for the bytes 0..255. The printable
// bytes of Latin-1 stand for themselves, the others are U+0100 and up in order.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "text/tokenizer/unicode.h"

namespace mica::tok {

class ByteAlphabet {
 public:
  static const ByteAlphabet& get() {
    static const ByteAlphabet alphabet;
    return alphabet;
  }
  char32_t to_char(uint8_t byte) const { return chars_[byte]; }
  // The byte behind a character, -1 for one outside the alphabet.
  int to_byte(char32_t c) const { return c < bytes_.size() ? bytes_[c] : -1; }

  void append_chars(std::string& out, std::string_view bytes) const {
    for (char b : bytes) append_utf8(out, chars_[static_cast<uint8_t>(b)]);
  }
  // Appends the bytes behind `token`; false and nothing when a character is outside the alphabet.
  bool append_bytes(std::string& out, std::string_view token) const {
    const size_t before = out.size();
    for (size_t i = 0; i < token.size();) {
      uint32_t length;
      int byte = to_byte(decode_utf8(token.data() + i, length));
      if (byte < 0) return out.resize(before), false;
      out.push_back(static_cast<char>(byte));
      i += length;
    }
    return true;
  }

 private:
  ByteAlphabet() {
    bytes_.fill(-1);
    char32_t next = 256;
    for (char32_t b = 0; b < 256; b++) {
      const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD);
      chars_[b] = printable ? b : next++;
      bytes_[chars_[b]] = static_cast<int16_t>(b);
    }
  }
  std::array<char32_t, 256> chars_{};
  std::array<int16_t, 256 + 68> bytes_{};
};

}  // namespace mica::tok

#include "base/utf8.h"

namespace mica {

size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t length = byte(0) < 0x80                      ? 1
                        : byte(0) >= 0xc2 && byte(0) < 0xe0 ? 2
                        : byte(0) >= 0xe0 && byte(0) < 0xf0 ? 3
                        : byte(0) >= 0xf0 && byte(0) < 0xf5 ? 4
                                                            : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if (length >= 3) {  // overlong forms, surrogates, beyond U+10FFFF
    const unsigned second = byte(1);
    if ((byte(0) == 0xe0 && second < 0xa0) || (byte(0) == 0xed && second >= 0xa0) ||
        (byte(0) == 0xf0 && second < 0x90) || (byte(0) == 0xf4 && second >= 0x90))
      return 0;
  }
  return length;
}

}  // namespace mica

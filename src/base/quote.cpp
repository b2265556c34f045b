#include "base/quote.h"

namespace mica {

std::string in_quotes(std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, 120))
    shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return "'" + shown + (text.size() > 120 ? "…'" : "'");
}

}  // namespace mica

// Which bytes are UTF-8 (RFC 3629).
#pragma once

#include <cstddef>
#include <string_view>

namespace mica {

// Bytes of the sequence that `text`, which is not empty, begins with; 0 when there is none.
size_t utf8_sequence(std::string_view text);

}  // namespace mica

// Text of a server, as messages may carry it.
#pragma once

#include <string>
#include <string_view>

namespace mica {

// The beginning of any bytes as one line of valid UTF-8.
std::string shown(std::string_view bytes);

}  // namespace mica

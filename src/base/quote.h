#pragma once

#include <string>
#include <string_view>

namespace mica {

// Text of a foreign file as messages show it: 'text', cut at 120 bytes, control characters as ?.
std::string in_quotes(std::string_view text);

}  // namespace mica

// Whole texts as numbers and truths; nullopt for anything else.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace mica {

std::optional<int64_t> parse_integer(std::string_view text);
std::optional<double> parse_number(std::string_view text);  // finite
std::optional<bool> parse_boolean(std::string_view text);   // true false yes no on off

}  // namespace mica

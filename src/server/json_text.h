// JSON as it is sent, ids and the like.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mica {

// One line; bytes that are no UTF-8 become U+FFFD.
std::string to_text(const nlohmann::ordered_json& json);
bool is_utf8(const std::string& bytes);

// "chatcmpl-" and 32 random hexadecimal digits, for instance: told apart, not secret.
std::string new_id(std::string_view prefix);

}  // namespace mica

#include "server/json_text.h"

#include <fmt/format.h>

#include <random>

namespace mica {

using Json = nlohmann::ordered_json;

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

bool is_utf8(const std::string& bytes) {
  try {
    (void)Json(bytes).dump();
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

std::string new_id(std::string_view prefix) {
  static thread_local std::mt19937_64 random{(uint64_t{std::random_device{}()} << 32) |
                                             std::random_device{}()};
  return fmt::format("{}{:016x}{:016x}", prefix, random(), random());
}

}  // namespace mica

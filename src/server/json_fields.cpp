#include "server/json_fields.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "server/limits.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void bad_body(const std::string& what) {
  throw RequestError(ApiError{400, "the body " + what, "", "invalid_json"});
}

// Depth and size before any memory is spent on a tree; what is wrong otherwise is the parser's.
void check_structure(std::string_view body) {
  std::vector<size_t> members;  // of the open arrays and objects
  size_t values = 0, key_cost = 0;
  bool in_string = false;
  for (size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '{' || c == '[') {
      members.push_back(0);
      ++values;
      if (members.size() > static_cast<size_t>(limits::kJsonDepth))
        bad_body(fmt::format("is nested deeper than {} levels", limits::kJsonDepth));
    }
    if ((c == '}' || c == ']') && !members.empty()) members.pop_back();
    if (c == ',') ++values;
    if (c == ':' && !members.empty()) key_cost += ++members.back();
  }
  if (values > limits::kJsonValues)
    bad_body(fmt::format("has more than {} values", limits::kJsonValues));
  if (key_cost > limits::kJsonKeyCost) bad_body("has an object with too many keys");
}

// A short rendering of what was found.
std::string shown(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

std::optional<int64_t> as_whole(const Json& value) {
  if (value.is_number_unsigned()) {
    const uint64_t number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (std::floor(number) != number || std::abs(number) > 9e15) return std::nullopt;
  return static_cast<int64_t>(number);
}

}  // namespace

Json parse_json_body(std::string_view body) {
  if (body.empty()) bad_body("is empty; a JSON object is expected");
  // The parser takes one for the end of the text.
  if (body.find('\0') != std::string_view::npos) bad_body("has a NUL byte, which JSON has not");
  check_structure(body);
  Json json;
  try {
    json = Json::parse(body);
  } catch (const Json::exception& error) {
    bad_body(std::string("is not valid JSON: ") + error.what());
  }
  if (!json.is_object()) bad_body("is not a JSON object");
  return json;
}

void wrong_value(const std::string& param, const std::string& expected, const Json& found) {
  throw RequestError(param,
                     fmt::format("{}: expected {}, found {}", param, expected, shown(found)));
}

std::string text_or_empty(const Json& object, const char* name) {
  const auto member = object.find(name);
  return member != object.end() && member->is_string() ? member->get<std::string>() : "";
}

bool is_true(const Json& object, const char* name) {
  const auto member = object.find(name);
  return member != object.end() && *member == true;
}

std::string member_text(const Json& object, const char* name, const std::string& place) {
  const auto member = object.find(name);
  if (member == object.end() || !member->is_string())
    throw RequestError(place + "." + name, fmt::format("{}.{}: expected a string", place, name));
  return member->get<std::string>();
}

int64_t whole_number(const std::string& param, const Json& value, int64_t least, int64_t most) {
  const auto number = as_whole(value);
  if (number && *number >= least && *number <= most) return *number;
  if (most == INT64_MAX)
    wrong_value(param, fmt::format("a whole number of at least {}", least), value);
  wrong_value(param, fmt::format("a whole number from {} to {}", least, most), value);
}

const Json* Fields::find(const char* name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool Fields::boolean(const char* name, bool missing) const {
  const Json* value = find(name);
  if (!value) return missing;
  if (!value->is_boolean()) wrong_value(name, "true or false", *value);
  return value->get<bool>();
}

double Fields::number(const char* name, double missing, double least, double most) const {
  const Json* value = find(name);
  if (!value) return missing;
  if (value->is_number()) {
    const double number = value->get<double>();
    if (number >= least && number <= most) return number;
  }
  wrong_value(name, fmt::format("a number from {} to {}", least, most), *value);
}

int64_t Fields::integer(const char* name, int64_t missing, int64_t least, int64_t most) const {
  const Json* value = find(name);
  return value ? whole_number(name, *value, least, most) : missing;
}

std::string Fields::text(const char* name, const std::string& missing) const {
  const Json* value = find(name);
  if (!value) return missing;
  if (!value->is_string()) wrong_value(name, "a string", *value);
  return value->get<std::string>();
}

const Json* Fields::object(const char* name) const {
  const Json* value = find(name);
  if (value && !value->is_object()) wrong_value(name, "an object", *value);
  return value;
}

}  // namespace mica

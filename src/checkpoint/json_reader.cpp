#include "checkpoint/json_reader.h"

#include <cmath>

#include "base/error.h"

namespace mica {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;

// An integer, or a float without a fraction (4096.0) as some exporters write it.
std::optional<int64_t> whole_number(const json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (!(std::abs(number) < 9e15) || number != std::floor(number)) return std::nullopt;
  return static_cast<int64_t>(number);
}

}  // namespace

json parse_json_object(std::string_view text, const std::string& place) {
  const auto limit_depth = [&](int depth, json::parse_event_t, json&) {
    if (depth > kMaxDepth)
      throw Error(ErrorKind::kCheckpoint, "[config] {}: expected at most {} levels of nesting",
                  place, kMaxDepth);
    return true;
  };
  json root;
  try {
    root = json::parse(text, limit_depth);
  } catch (const json::exception& error) {
    throw Error(ErrorKind::kCheckpoint, "[config] {}: expected JSON: {}", place, error.what());
  }
  if (!root.is_object())
    throw Error(ErrorKind::kCheckpoint, "[config] {}: expected a JSON object, found {}", place,
                brief(root));
  return root;
}

std::string brief(const json& value) {
  if (value.is_object()) return fmt::format("an object of {} keys", value.size());
  if (value.is_array()) return fmt::format("a list of {} values", value.size());
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

JsonReader::JsonReader(const json& object, std::string place)
    : object_(&object), place_(std::move(place)) {
  MICA_CHECK(object.is_object());
}

const json* JsonReader::find(const char* key) const {
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

void JsonReader::fail(const char* key, const std::string& expected,
                      const std::string& found) const {
  throw Error(ErrorKind::kCheckpoint, "[config] {}: key '{}': expected {}, found {}", place_, key,
              expected, found);
}

const json& JsonReader::required(const char* key, const std::string& expected) const {
  const json* value = find(key);
  if (!value) fail(key, expected, object_->contains(key) ? "null" : "nothing");
  return *value;
}

int64_t JsonReader::as_integer(const char* key, const json& value, int64_t low,
                               int64_t high) const {
  const std::optional<int64_t> number = whole_number(value);
  if (!number || *number < low || *number > high)
    fail(key, fmt::format("an integer from {} to {}", low, high), brief(value));
  return *number;
}

int64_t JsonReader::integer(const char* key, int64_t low, int64_t high) const {
  return as_integer(key, required(key, fmt::format("an integer from {} to {}", low, high)), low,
                    high);
}

int64_t JsonReader::integer(const char* key, int64_t low, int64_t high, int64_t otherwise) const {
  return has(key) ? integer(key, low, high) : otherwise;
}

double JsonReader::number(const char* key, double low, double high) const {
  const std::string expected = fmt::format("a number from {} to {}", low, high);
  const json& value = required(key, expected);
  if (!value.is_number()) fail(key, expected, brief(value));
  const double number = value.get<double>();
  if (!(number >= low && number <= high)) fail(key, expected, brief(value));
  return number;
}

double JsonReader::number(const char* key, double low, double high, double otherwise) const {
  return has(key) ? number(key, low, high) : otherwise;
}

bool JsonReader::boolean(const char* key, bool otherwise) const {
  const json* value = find(key);
  if (!value) return otherwise;
  if (!value->is_boolean()) fail(key, "true or false", brief(*value));
  return value->get<bool>();
}

std::string JsonReader::string(const char* key) const {
  const json& value = required(key, "a string");
  if (!value.is_string()) fail(key, "a string", brief(value));
  return value.get<std::string>();
}

std::string JsonReader::string(const char* key, const std::string& otherwise) const {
  return has(key) ? string(key) : otherwise;
}

std::vector<int64_t> JsonReader::integers(const char* key, int64_t low, int64_t high) const {
  std::vector<int64_t> numbers;
  const json* value = find(key);
  if (!value) return numbers;
  if (!value->is_array()) fail(key, "a list of integers", brief(*value));
  for (const json& element : *value) numbers.push_back(as_integer(key, element, low, high));
  return numbers;
}

std::optional<JsonReader> JsonReader::object(const char* key) const {
  const json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_object()) fail(key, "an object", brief(*value));
  return JsonReader(*value, place_ + ": " + key);
}

}  // namespace mica

// Checked reading of configuration objects. Included by .cpp files only: it brings the JSON
// library.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

// Parses the text of a configuration file whose root is an object. `place` begins every message
// ("config.json"). Throws Error(kCheckpoint) for a syntax error and for nesting deeper than 64.
nlohmann::json parse_json_object(std::string_view text, const std::string& place);

// A value as messages show it: its text, cut at 60 characters.
std::string brief(const nlohmann::json& value);

// One object whose fields are read with limits; null counts as absent. Keeps a reference.
// Every wrong value throws Error(kCheckpoint): "[config] PLACE: key 'K': expected …, found …".
class JsonReader {
 public:
  JsonReader(const nlohmann::json& object, std::string place);

  const std::string& place() const { return place_; }
  const nlohmann::json& value() const { return *object_; }
  const nlohmann::json* find(const char* key) const;  // nullptr when absent or null
  bool has(const char* key) const { return find(key) != nullptr; }

  // The forms without a default throw when the key is absent.
  int64_t integer(const char* key, int64_t low, int64_t high) const;
  int64_t integer(const char* key, int64_t low, int64_t high, int64_t otherwise) const;
  double number(const char* key, double low, double high) const;
  double number(const char* key, double low, double high, double otherwise) const;
  bool boolean(const char* key, bool otherwise) const;
  std::string string(const char* key) const;
  std::string string(const char* key, const std::string& otherwise) const;
  std::vector<int64_t> integers(const char* key, int64_t low, int64_t high) const;  // absent: {}
  std::optional<JsonReader> object(const char* key) const;

  [[noreturn]] void fail(const char* key, const std::string& expected,
                         const std::string& found) const;

 private:
  const nlohmann::json& required(const char* key, const std::string& expected) const;
  int64_t as_integer(const char* key, const nlohmann::json& value, int64_t low, int64_t high) const;

  const nlohmann::json* object_;
  std::string place_;
};

}  // namespace mica

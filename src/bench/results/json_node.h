// A value of a parsed document that knows its place, for errors.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace mica {

using OrderedJson = nlohmann::ordered_json;

class JsonNode {
 public:
  // `tag` begins messages: "[results] PLACE: expected …".
  JsonNode(const OrderedJson& json, std::string place, const char* tag = "results")
      : json_(&json), place_(std::move(place)), tag_(tag) {}

  const OrderedJson& json() const { return *json_; }
  const std::string& place() const { return place_; }

  // A member; nothing when it is missing or null. Throws when this is no object.
  std::optional<JsonNode> find(const char* key) const;
  JsonNode at(const char* key) const;   // must be there
  std::vector<JsonNode> items() const;  // of an array
  std::vector<std::pair<std::string, JsonNode>> members() const;

  std::string text() const;
  double number() const;  // finite
  int64_t integer() const;
  bool boolean() const;

  // Members that may be missing.
  void read(const char* key, std::string& value) const;
  void read(const char* key, double& value) const;
  void read(const char* key, int64_t& value) const;
  void read(const char* key, uint64_t& value) const;  // not negative
  void read(const char* key, int& value) const;
  void read(const char* key, bool& value) const;
  void read(const char* key, std::vector<std::string>& values) const;
  void read(const char* key, std::vector<double>& values) const;

  [[noreturn]] void wrong(const std::string& expected) const;

 private:
  const OrderedJson* json_;
  std::string place_;  // "FILE: summary.figures"
  const char* tag_;
};

// Throws Error(kUsage) with `source` when it is none, or nested deeper than 64.
OrderedJson parse_document(std::string_view text, const std::string& source,
                           const char* tag = "results");
// On one line; what is not UTF-8 becomes U+FFFD.
std::string dump(const OrderedJson& json);

// Adds what is known.
void put(OrderedJson& json, const char* key, const std::string& value);  // not empty
void put(OrderedJson& json, const char* key, const std::vector<std::string>& values);

}  // namespace mica

// What the tools of a request say about their parameters.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>

namespace mica {

// The JSON types a schema allows, as bits.
using TypeMask = uint8_t;
constexpr TypeMask kStringType = 1, kNumberType = 2, kIntegerType = 4, kBooleanType = 8,
                   kObjectType = 16, kArrayType = 32, kNullType = 64, kAnyType = 127;

class ToolTypes {
 public:
  explicit ToolTypes(std::shared_ptr<const nlohmann::ordered_json> tools);
  bool any() const { return !tools_.empty(); }
  bool known(std::string_view tool) const { return find(tool) != nullptr; }
  TypeMask parameter(std::string_view tool, std::string_view name) const;

 private:
  const nlohmann::ordered_json* find(std::string_view tool) const;

  std::shared_ptr<const nlohmann::ordered_json> owner_;
  std::unordered_map<std::string_view, const nlohmann::ordered_json*> tools_;  // the inner objects
};

// {"name", "parameters"} of an element of "tools", nullptr when it is none.
const nlohmann::ordered_json* tool_function(const nlohmann::ordered_json& tool);
// The types that `schema` allows; references are looked up in `root`.
TypeMask allowed_types(const nlohmann::ordered_json& schema, const nlohmann::ordered_json& root);

// The JSON of an argument that a style wrote as plain text. `mended`: it is not of those types.
std::string argument_json(std::string_view text, TypeMask types, bool& mended);

}  // namespace mica

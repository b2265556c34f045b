#include "text/answer/tool_types.h"

#include <nlohmann/json.hpp>

#include "text/answer/value_reader.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kMaxDepth = 16;  // of references and alternatives

TypeMask named_type(std::string_view name) {
  if (name == "string") return kStringType;
  if (name == "number") return kNumberType | kIntegerType;
  if (name == "integer") return kIntegerType;
  if (name == "boolean") return kBooleanType;
  if (name == "object") return kObjectType;
  if (name == "array") return kArrayType;
  if (name == "null") return kNullType;
  return kAnyType;
}

TypeMask type_of(const Json& value) {
  if (value.is_string()) return kStringType;
  if (value.is_number_integer()) return kIntegerType;
  if (value.is_number()) return kNumberType;
  if (value.is_boolean()) return kBooleanType;
  if (value.is_object()) return kObjectType;
  return value.is_array() ? kArrayType : kNullType;
}

TypeMask types(const Json& schema, const Json& root, int depth);

const Json* referred(const Json& reference, const Json& root) {
  if (!reference.is_string()) return nullptr;
  const auto& path = reference.get_ref<const std::string&>();
  if (path.empty() || path[0] != '#') return nullptr;
  try {
    const Json::json_pointer pointer(path.substr(1));
    return root.contains(pointer) ? &root.at(pointer) : nullptr;
  } catch (const Json::exception&) {
    return nullptr;
  }
}

TypeMask union_of(const Json& list, const Json& root, int depth) {
  TypeMask mask = 0;
  for (const Json& entry : list) mask |= types(entry, root, depth + 1);
  return mask;
}

TypeMask own_types(const Json& schema, const Json& root, int depth) {
  TypeMask mask = kAnyType;
  if (auto type = schema.find("type"); type != schema.end()) {
    if (type->is_string()) mask = named_type(type->get_ref<const std::string&>());
    if (type->is_array()) {
      mask = 0;
      for (const Json& name : *type) {
        mask |= name.is_string() ? named_type(name.get_ref<const std::string&>()) : kAnyType;
      }
    }
  } else if (schema.contains("properties")) {
    mask = kObjectType;
  } else if (schema.contains("items")) {
    mask = kArrayType;
  }
  if (auto reference = schema.find("$ref"); reference != schema.end()) {
    const Json* target = referred(*reference, root);
    if (target != nullptr) mask &= types(*target, root, depth + 1);
  }
  return mask;
}

TypeMask types(const Json& schema, const Json& root, int depth) {
  if (!schema.is_object() || depth > kMaxDepth) return kAnyType;
  TypeMask mask = own_types(schema, root, depth);
  for (const char* key : {"anyOf", "oneOf"}) {
    auto list = schema.find(key);
    if (list != schema.end() && list->is_array()) mask &= union_of(*list, root, depth);
  }
  if (auto all = schema.find("allOf"); all != schema.end() && all->is_array()) {
    for (const Json& entry : *all) mask &= types(entry, root, depth + 1);
  }
  if (auto values = schema.find("enum"); values != schema.end() && values->is_array()) {
    TypeMask listed = 0;
    for (const Json& value : *values) listed |= type_of(value);
    mask &= listed;
  }
  if (auto value = schema.find("const"); value != schema.end()) mask &= type_of(*value);
  if (auto nullable = schema.find("nullable"); nullable != schema.end() && *nullable == true) {
    mask |= kNullType;
  }
  return mask == 0 ? kAnyType : mask;
}

std::string_view trimmed(std::string_view text) {
  const size_t from = text.find_first_not_of(" \t\r\n");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1);
}

// Lists and objects in Python's notation; "" when the text is none.
std::string from_python(std::string_view text) {
  ValueReader reader(ValueReader::Notation::kPython);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const ValueReader::Status status = reader.feed(text[i], out);
    if (status == ValueReader::Status::kMore) continue;
    return status == ValueReader::Status::kDone && i + 1 == text.size() ? out : "";
  }
  return "";
}

}  // namespace

TypeMask allowed_types(const Json& schema, const Json& root) {
  return types(schema, root, 0);
}

const Json* tool_function(const Json& tool) {
  if (!tool.is_object()) return nullptr;
  auto inner = tool.find("function");
  const Json& function = inner != tool.end() && inner->is_object() ? *inner : tool;
  auto name = function.find("name");
  return name != function.end() && name->is_string() ? &function : nullptr;
}

ToolTypes::ToolTypes(std::shared_ptr<const Json> tools) : owner_(std::move(tools)) {
  if (owner_ == nullptr || !owner_->is_array()) return;
  for (const Json& tool : *owner_) {
    const Json* function = tool_function(tool);
    if (function == nullptr) continue;
    tools_.emplace(function->find("name")->get_ref<const std::string&>(), function);
  }
}

const Json* ToolTypes::find(std::string_view tool) const {
  auto entry = tools_.find(tool);
  return entry == tools_.end() ? nullptr : entry->second;
}

TypeMask ToolTypes::parameter(std::string_view tool, std::string_view name) const {
  const Json* function = find(tool);
  if (function == nullptr) return kAnyType;
  auto parameters = function->find("parameters");
  if (parameters == function->end() || !parameters->is_object()) return kAnyType;
  auto properties = parameters->find("properties");
  if (properties == parameters->end() || !properties->is_object()) return kAnyType;
  auto property = properties->find(std::string(name));
  return property == properties->end() ? kAnyType : allowed_types(*property, *parameters);
}

std::string argument_json(std::string_view text, TypeMask types, bool& mended) {
  if (types == kStringType) return json_string(text);
  const std::string_view value = trimmed(text);
  // The library reads a NUL as the end of the text.
  if (value.find('\0') == std::string_view::npos && Json::accept(value)) {
    const TypeMask type = type_of(Json::parse(value));
    const bool plain = type == kStringType && types != kAnyType && (types & kStringType) != 0;
    const bool fits = (type & types) != 0 && !plain;
    if (fits || (types & kStringType) == 0) {
      mended |= !fits;
      return std::string(value);
    }
    return json_string(text);
  }
  if ((types & kBooleanType) != 0 && value == "True") return "true";
  if ((types & kBooleanType) != 0 && value == "False") return "false";
  if ((types & kNullType) != 0 && value == "None") return "null";
  if ((types & (kObjectType | kArrayType)) != 0 && !value.empty() &&
      (value[0] == '{' || value[0] == '[')) {
    std::string python = from_python(value);
    if (!python.empty()) return python;
  }
  mended |= (types & kStringType) == 0;
  return json_string(text);
}

}  // namespace mica

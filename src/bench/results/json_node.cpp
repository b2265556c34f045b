#include "bench/results/json_node.h"

#include <cmath>
#include <limits>

namespace mica {

std::optional<JsonNode> JsonNode::find(const char* key) const {
  if (!json_->is_object()) wrong("an object");
  const auto found = json_->find(key);
  if (found == json_->end() || found->is_null()) return std::nullopt;
  return JsonNode(*found, fmt::format("{}{}{}", place_, place_.ends_with(": ") ? "" : ".", key),
                  tag_);
}

JsonNode JsonNode::at(const char* key) const {
  const auto node = find(key);
  if (!node) wrong(fmt::format("a member '{}'", key));
  return *node;
}

std::vector<JsonNode> JsonNode::items() const {
  if (!json_->is_array()) wrong("an array");
  std::vector<JsonNode> out;
  for (const OrderedJson& item : *json_)
    out.emplace_back(item, fmt::format("{}[{}]", place_, out.size()), tag_);
  return out;
}

std::vector<std::pair<std::string, JsonNode>> JsonNode::members() const {
  if (!json_->is_object()) wrong("an object");
  std::vector<std::pair<std::string, JsonNode>> out;
  for (auto it = json_->begin(); it != json_->end(); ++it)
    out.emplace_back(it.key(), JsonNode(it.value(), fmt::format("{}.{}", place_, it.key()), tag_));
  return out;
}

std::string JsonNode::text() const {
  if (!json_->is_string()) wrong("a text");
  return json_->get<std::string>();
}

double JsonNode::number() const {
  if (!json_->is_number()) wrong("a number");
  const double value = json_->get<double>();
  if (!std::isfinite(value)) wrong("a finite number");
  return value;
}

int64_t JsonNode::integer() const {
  if (json_->is_number_unsigned() &&
      json_->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    wrong("an integer of 64 bits");
  if (json_->is_number_integer()) return json_->get<int64_t>();
  const double value = number();
  if (value != std::floor(value) || std::abs(value) > 9e15) wrong("an integer");
  return static_cast<int64_t>(value);
}

bool JsonNode::boolean() const {
  if (!json_->is_boolean()) wrong("true or false");
  return json_->get<bool>();
}

void JsonNode::read(const char* key, std::string& value) const {
  if (const auto node = find(key)) value = node->text();
}
void JsonNode::read(const char* key, double& value) const {
  if (const auto node = find(key)) value = node->number();
}
void JsonNode::read(const char* key, int64_t& value) const {
  if (const auto node = find(key)) value = node->integer();
}
void JsonNode::read(const char* key, bool& value) const {
  if (const auto node = find(key)) value = node->boolean();
}

void JsonNode::read(const char* key, uint64_t& value) const {
  const auto node = find(key);
  if (!node) return;
  if (node->json_->is_number_unsigned()) {
    value = node->json_->get<uint64_t>();
    return;
  }
  const int64_t number = node->integer();
  if (number < 0) node->wrong("a number that is not negative");
  value = static_cast<uint64_t>(number);
}

void JsonNode::read(const char* key, int& value) const {
  const auto node = find(key);
  if (!node) return;
  const int64_t number = node->integer();
  using Limits = std::numeric_limits<int>;
  if (number < Limits::min() || number > Limits::max()) node->wrong("an integer of 32 bits");
  value = static_cast<int>(number);
}

void JsonNode::read(const char* key, std::vector<std::string>& values) const {
  const auto node = find(key);
  if (!node) return;
  values.clear();
  for (const JsonNode& item : node->items()) values.push_back(item.text());
}

void JsonNode::read(const char* key, std::vector<double>& values) const {
  const auto node = find(key);
  if (!node) return;
  values.clear();
  for (const JsonNode& item : node->items()) values.push_back(item.number());
}

void JsonNode::wrong(const std::string& expected) const {
  std::string found = dump(*json_);
  if (found.size() > 60) found = std::string(json_->type_name()) + " " + found.substr(0, 40) + "…";
  throw Error(ErrorKind::kUsage, "[{}] {}: expected {}, found {}", tag_, place_, expected, found);
}

OrderedJson parse_document(std::string_view text, const std::string& source, const char* tag) {
  constexpr int kMaxDepth = 64;
  const auto limit_depth = [&](int depth, OrderedJson::parse_event_t, OrderedJson&) {
    if (depth > kMaxDepth)
      throw Error(ErrorKind::kUsage, "[{}] {}: expected at most {} levels of nesting", tag, source,
                  kMaxDepth);
    return true;
  };
  try {
    return OrderedJson::parse(text, limit_depth);
  } catch (const OrderedJson::exception& error) {
    throw Error(ErrorKind::kUsage,
                "[{}] {}: expected JSON, found something else ({}); is it whole?", tag, source,
                error.what());
  }
}

std::string dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

void put(OrderedJson& json, const char* key, const std::string& value) {
  if (!value.empty()) json[key] = value;
}

void put(OrderedJson& json, const char* key, const std::vector<std::string>& values) {
  if (!values.empty()) json[key] = values;
}

}  // namespace mica

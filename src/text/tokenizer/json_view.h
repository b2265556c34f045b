// A JSON value with its place, for messages such as
//   [tokenizer] model.vocab.abc: expected a number, found a string
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace mica::tok {

class JsonView {
 public:
  JsonView(simdjson::dom::element element, std::string where)
      : element_(element), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  simdjson::dom::element element() const { return element_; }
  bool is_string() const { return element_.is_string(); }
  bool is_object() const { return element_.is_object(); }
  bool is_array() const { return element_.is_array(); }

  // The member `key`; nullopt when it is missing or null.
  std::optional<JsonView> find(std::string_view key) const {
    simdjson::dom::element member;
    if (element_.at_key(key).get(member) != simdjson::SUCCESS || member.is_null())
      return std::nullopt;
    return JsonView(member, child(key));
  }
  JsonView at(std::string_view key) const {
    if (!is_object()) fail("an object");
    if (std::optional<JsonView> member = find(key)) return *member;
    throw Error(ErrorKind::kCheckpoint, "[tokenizer] {}: expected a member '{}', found none",
                where_, key);
  }

  std::string_view string() const {
    std::string_view value;
    if (element_.get(value) != simdjson::SUCCESS) fail("a string");
    return value;
  }
  bool boolean() const {
    bool value;
    if (element_.get(value) != simdjson::SUCCESS) fail("true or false");
    return value;
  }
  double number() const {
    double value;
    if (element_.get(value) != simdjson::SUCCESS) fail("a number");
    return value;
  }
  // An integer of [0, limit).
  int64_t integer(int64_t limit) const {
    int64_t value;
    if (element_.get(value) != simdjson::SUCCESS || value < 0 || value >= limit)
      fail(fmt::format("an integer from 0 to {}", limit - 1));
    return value;
  }

  std::string string_or(std::string_view key, std::string_view missing) const {
    std::optional<JsonView> member = find(key);
    return std::string(member ? member->string() : missing);
  }
  bool boolean_or(std::string_view key, bool missing) const {
    std::optional<JsonView> member = find(key);
    return member ? member->boolean() : missing;
  }

  template <typename Visit>
  void each_item(Visit visit) const {  // visit(JsonView)
    simdjson::dom::array array;
    if (element_.get(array) != simdjson::SUCCESS) fail("an array");
    size_t i = 0;
    for (simdjson::dom::element item : array)
      visit(JsonView(item, fmt::format("{}[{}]", where_, i++)));
  }
  template <typename Visit>
  void each_member(Visit visit) const {  // visit(key, JsonView)
    simdjson::dom::object object;
    if (element_.get(object) != simdjson::SUCCESS) fail("an object");
    for (auto [key, value] : object) visit(key, JsonView(value, child(key)));
  }

  [[noreturn]] void fail(std::string_view expected) const {
    throw Error(ErrorKind::kCheckpoint, "[tokenizer] {}: expected {}, found {}", where_, expected,
                describe());
  }

 private:
  std::string child(std::string_view key) const {
    return where_.empty() ? std::string(key) : fmt::format("{}.{}", where_, key);
  }
  std::string describe() const {
    const std::string text = simdjson::minify(element_);
    constexpr size_t kShown = 60;
    return text.size() <= kShown ? text : text.substr(0, kShown) + "…";
  }
  simdjson::dom::element element_;
  std::string where_;
};

}  // namespace mica::tok

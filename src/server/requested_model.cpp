#include "server/requested_model.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/limits.h"

namespace mica {
namespace {

// Sees the events of nlohmann's parser; false ends the parsing.
class TopFields {
 public:
  using Json = nlohmann::json;
  bool null() { return true; }
  bool boolean(bool) { return true; }
  bool number_integer(Json::number_integer_t) { return true; }
  bool number_unsigned(Json::number_unsigned_t) { return true; }
  bool number_float(Json::number_float_t, const std::string&) { return true; }
  bool binary(Json::binary_t&) { return true; }
  bool string(std::string& text) {
    if (depth_ != 1) return true;
    if (key_ == "model") found_.model = text, has_model_ = true;
    if (key_ == "adapters") found_.adapter = text;
    return !(has_model_ && found_.adapter);
  }
  bool key(std::string& name) {
    if (depth_ == 1) key_ = name;
    return true;
  }
  bool start_object(size_t) { return enter(); }
  bool end_object() { return leave(); }
  // Strings in a list of the first level have no key of their own: they lie deeper.
  bool start_array(size_t) { return enter(); }
  bool end_array() { return leave(); }
  bool parse_error(size_t, const std::string&, const Json::exception&) { return false; }

  RequestedModel take() { return std::move(found_); }

 private:
  bool enter() { return ++depth_ <= limits::kJsonDepth; }
  bool leave() {
    --depth_;
    return true;
  }

  int depth_ = 0;
  bool has_model_ = false;
  std::string key_;
  RequestedModel found_;
};

}  // namespace

RequestedModel requested_model(std::string_view body) {
  TopFields fields;
  nlohmann::json::sax_parse(body, &fields);
  return fields.take();
}

AdapterTable::Use adapter_of(const RequestedModel& asked, const ServedModel& model) {
  if (!model.adapters) {
    if (!asked.adapter || asked.adapter->empty()) return nullptr;
    throw RequestError(ApiError{404, fmt::format("the model '{}' has no adapters", model.id),
                                "adapters", "adapter_not_found"});
  }
  if (asked.adapter) {
    if (asked.adapter->empty()) return nullptr;
    if (auto use = model.adapters->find(*asked.adapter)) return use;
    std::string names;
    for (const auto& use : model.adapters->list())
      names += (names.empty() ? "'" : ", '") + use->name + "'";
    throw RequestError(ApiError{
        404,
        fmt::format("the adapter '{}' does not exist; the model '{}' has {}",
                    asked.adapter->substr(0, 200), model.id, names.empty() ? "none" : names),
        "adapters", "adapter_not_found"});
  }
  if (auto use = model.adapters->find(asked.model)) return use;
  return model.adapters->default_use();
}

}  // namespace mica

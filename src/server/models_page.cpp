#include "server/models_page.h"

#include <nlohmann/json.hpp>

#include "server/adapter_table.h"
#include "server/json_text.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

Json status_json(const ModelState& model) {
  Json status = {{"value", name(model.status)}};
  if (!model.failure.empty()) status["reason"] = model.failure;
  return status;
}

Json model_object(const ModelState& model) {
  Json out = {
      {"id", model.id}, {"object", "model"}, {"created", model.created}, {"owned_by", "mica"}};
  if (model.max_context > 0) out["max_model_len"] = model.max_context;
  out["status"] = status_json(model);
  return out;
}

Json adapter_object(const NamedAdapter& adapter, const ModelState& model) {
  return {{"id", adapter.name},          {"object", "model"},    {"created", adapter.created},
          {"owned_by", "mica"},          {"root", adapter.path}, {"parent", model.id},
          {"status", status_json(model)}};
}

}  // namespace

std::string models_json(const std::vector<ModelState>& models) {
  Json data = Json::array();
  for (const ModelState& model : models) {
    data.push_back(model_object(model));
    if (!model.adapters) continue;
    for (const auto& adapter : model.adapters->list())
      data.push_back(adapter_object(*adapter, model));
  }
  return to_text({{"object", "list"}, {"data", std::move(data)}});
}

std::string model_json(const ModelState& model, const std::string& name) {
  if (model.adapters && name != model.id)
    for (const auto& adapter : model.adapters->list())
      if (adapter->name == name) return to_text(adapter_object(*adapter, model));
  return to_text(model_object(model));
}

}  // namespace mica

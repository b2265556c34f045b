// Which model and adapter a request wants, and what it holds of them while it is answered.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/adapter_table.h"
#include "server/model_registry.h"

namespace mica {

// Held by the exchange.
struct ModelUse {
  ModelLease lease;
  AdapterTable::Use adapter;           // null: none
  std::chrono::milliseconds waited{};  // for the model to be loaded

  const ServedModel& model() const { return *lease->model; }
};

struct RequestedModel {
  std::string model;                   // "" = the default
  std::optional<std::string> adapter;  // of the field "adapters"; "" = none at all
};

// The fields "model" and "adapters" of a JSON object, read without making a tree of it and only as
// far as needed. What is no JSON gives what was found before its fault: the fault is told later.
RequestedModel requested_model(std::string_view body);

// The adapter of a request to this model. Throws RequestError(404) for one that it does not have.
AdapterTable::Use adapter_of(const RequestedModel& asked, const ServedModel& model);

}  // namespace mica

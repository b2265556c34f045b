#include "server/model_registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "server/adapter_table.h"
#include "server/model_registry_state.h"

namespace mica {
namespace {

constexpr size_t kNamesInErrors = 10;

ApiError ending() {
  return {503, "the server is ending", "", "shutting_down", 1};
}

}  // namespace

const char* name(ModelStatus status) {
  switch (status) {
    case ModelStatus::kUnloaded: return "unloaded";
    case ModelStatus::kLoading: return "loading";
    case ModelStatus::kLoaded: return "loaded";
    case ModelStatus::kUnloading: return "unloading";
    case ModelStatus::kFailed: return "failed";
  }
  return "";
}

ModelRegistry::ModelRegistry(const ModelRegistryOptions& options)
    : options_(options), shared_(std::make_shared<Shared>()), thread_([this] { loop(); }) {}

// Names

void ModelRegistry::add(ModelSpec spec) {
  const Lock lock(shared_->mutex);
  if (find(spec.id))
    throw Error(ErrorKind::kUsage, "[models] '{}' is given twice; each model needs its own name",
                spec.id);
  auto entry = std::make_unique<Entry>();
  entry->spec = std::move(spec);
  entry->created = static_cast<int64_t>(std::time(nullptr));
  shared_->entries.push_back(std::move(entry));
}

void ModelRegistry::add_loaded(const ServedModel& model) {
  ModelSpec spec;
  spec.id = model.id;
  spec.aliases = model.aliases;
  add(std::move(spec));
  std::vector<Call> calls;
  const Lock lock(shared_->mutex);
  // Not an owner: whoever added it is.
  loaded(*find(model.id), std::shared_ptr<const ServedModel>(&model, [](const auto*) {}), calls);
}

ModelRegistry::Entry* ModelRegistry::find(const std::string& id) const {
  for (const auto& entry : shared_->entries)
    if (entry->spec.id == id) return entry.get();
  return nullptr;
}

ModelRegistry::Entry* ModelRegistry::entry_of(const std::string& name) const {
  const auto& entries = shared_->entries;
  if (entries.empty()) return nullptr;
  if (name.empty() || name == "default_model") return entries.front().get();
  if (Entry* entry = find(name)) return entry;
  const auto has = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const auto& entry : entries)
    if (has(entry->spec.aliases)) return entry.get();
  for (const auto& entry : entries)
    if (has(entry->spec.adapters)) return entry.get();
  for (const auto& entry : entries)
    if (entry->instance && entry->instance->model->adapters &&
        entry->instance->model->adapters->has(name))
      return entry.get();
  return nullptr;
}

ModelRegistry::Entry& ModelRegistry::known(const std::string& name) const {
  if (Entry* entry = entry_of(name)) return *entry;
  std::string names;
  const auto& entries = shared_->entries;
  for (size_t i = 0; i < std::min(entries.size(), kNamesInErrors); ++i)
    names += fmt::format("{}'{}'", i > 0 ? ", " : "", entries[i]->spec.id);
  if (entries.size() > kNamesInErrors)
    names += fmt::format(" and {} more", entries.size() - kNamesInErrors);
  throw RequestError(ApiError{404,
                              fmt::format("the model '{}' does not exist; this server has {}",
                                          name.substr(0, 200), names.empty() ? "none" : names),
                              "model", "model_not_found"});
}

std::string ModelRegistry::resolve(const std::string& name) const {
  const Lock lock(shared_->mutex);
  return known(name).spec.id;
}

bool ModelRegistry::has_choice() const {
  const Lock lock(shared_->mutex);
  const auto& entries = shared_->entries;
  return entries.size() > 1 || std::any_of(entries.begin(), entries.end(), [](const auto& entry) {
           return !entry->spec.adapters.empty() ||
                  (entry->instance && entry->instance->model->adapters);
         });
}

std::string ModelRegistry::default_id() const {
  const Lock lock(shared_->mutex);
  return shared_->entries.empty() ? "" : shared_->entries.front()->spec.id;
}

// Leases

ModelLease ModelRegistry::lease_of(Entry& entry) {
  ++entry.leases;
  return {entry.instance.get(), [shared = shared_, &entry](ModelInstance*) {
            const Lock lock(shared->mutex);
            if (--entry.leases == 0) shared->wake.notify_all();
          }};
}

ModelLease ModelRegistry::acquire(const std::string& id, const std::weak_ptr<Waiter>& waiter) {
  const Lock lock(shared_->mutex);
  Entry& entry = known(id);
  if (shared_->refusing) throw RequestError(ending());
  if (entry.closing) throw RequestError(unloading_error(entry.spec.id));
  entry.last_use = ++shared_->uses;
  if (entry.instance && !entry.yields) return lease_of(entry);
  std::erase_if(entry.waiters, [](const auto& w) { return w.expired(); });
  entry.waiters.push_back(waiter);
  if (!entry.instance) want(entry);
  return nullptr;
}

ModelLease ModelRegistry::look(const std::string& id) {
  const Lock lock(shared_->mutex);
  Entry* entry = find(id);
  return entry && entry->instance ? lease_of(*entry) : nullptr;
}

ModelLease ModelRegistry::look_any() {
  const Lock lock(shared_->mutex);
  for (const auto& entry : shared_->entries)
    if (entry->instance) return lease_of(*entry);
  return nullptr;
}

void ModelRegistry::grant(Entry& entry, std::vector<Call>& calls) {
  for (const auto& weak : entry.waiters)
    if (auto waiter = weak.lock()) calls.push_back({std::move(waiter), lease_of(entry), {}});
  entry.waiters.clear();
}

void ModelRegistry::refuse(Entry& entry, const ApiError& error, std::vector<Call>& calls) {
  for (const auto& weak : entry.waiters)
    if (auto waiter = weak.lock()) calls.push_back({std::move(waiter), nullptr, error});
  entry.waiters.clear();
}

void ModelRegistry::refuse_waiting() {
  std::vector<Call> calls;
  {
    const Lock lock(shared_->mutex);
    shared_->refusing = true;
    for (const auto& entry : shared_->entries) {
      entry->asked_for = false;
      refuse(*entry, ending(), calls);
    }
  }
  run_calls(calls);
}

// Orders

void ModelRegistry::want(Entry& entry) {
  auto& queue = shared_->queue;
  if (entry.status == ModelStatus::kLoading) return;
  entry.status = ModelStatus::kLoading;
  entry.wanted_since = Clock::now();
  queue.push_back(&entry);
  shared_->wake.notify_all();
}

void ModelRegistry::load(const std::string& id) {
  const Lock lock(shared_->mutex);
  Entry& entry = known(id);
  if (shared_->refusing) throw RequestError(ending());
  if (entry.closing) throw RequestError(unloading_error(entry.spec.id));
  entry.last_use = ++shared_->uses;
  if (entry.instance) return;
  entry.asked_for = true;
  want(entry);
}

void ModelRegistry::unload(const std::string& id) {
  std::vector<Call> calls;
  {
    const Lock lock(shared_->mutex);
    Entry& entry = known(id);
    if (!entry.spec.load)
      throw RequestError("model", fmt::format("the model '{}' can't be unloaded", entry.spec.id));
    refuse(entry, unloading_error(entry.spec.id), calls);
    entry.asked_for = false;  // not begun: nobody wants it any more
    const bool begun =
        std::find(shared_->queue.begin(), shared_->queue.end(), &entry) == shared_->queue.end();
    entry.closing = entry.instance || (entry.status == ModelStatus::kLoading && begun);
    shared_->wake.notify_all();
  }
  run_calls(calls);
}

// What is known

ModelState ModelRegistry::state(const std::string& id) const {
  const auto all = states();
  const std::string known_id = resolve(id);
  return *std::find_if(all.begin(), all.end(), [&](const auto& s) { return s.id == known_id; });
}

std::vector<ModelState> ModelRegistry::states() const {
  const Lock lock(shared_->mutex);
  std::vector<ModelState> out;
  for (const auto& entry : shared_->entries) {
    ModelState state{.id = entry->spec.id,
                     .aliases = entry->spec.aliases,
                     .status = entry->closing ? ModelStatus::kUnloading : entry->status,
                     .failure = entry->failure,
                     .leases = entry->leases,
                     .created = entry->created};
    if (entry->instance) {
      const ServedModel& model = *entry->instance->model;
      state.bytes = loaded_bytes(model);
      state.max_context = model.engine->max_context();
      state.adapters = model.adapters;
      if (model.created != 0) state.created = model.created;
    }
    out.push_back(std::move(state));
  }
  return out;
}

std::exception_ptr ModelRegistry::exception(const std::string& id) const {
  const Lock lock(shared_->mutex);
  return known(id).exception;
}

ModelCounts ModelRegistry::counts() const {
  const Lock lock(shared_->mutex);
  ModelCounts counts = shared_->counts;
  for (const auto& entry : shared_->entries) counts.loaded += entry->instance ? 1 : 0;
  return counts;
}

EngineStats ModelRegistry::engine_stats() const {
  const Lock lock(shared_->mutex);
  EngineStats sum = shared_->gone;
  for (const auto& entry : shared_->entries)
    if (entry->instance) add_stats(sum, entry->instance->model->engine->stats(), /*gauges=*/true);
  return sum;
}

void ModelRegistry::visit(const std::function<void(ModelInstance&)>& work) {
  const Lock lock(shared_->mutex);
  for (const auto& entry : shared_->entries)
    if (entry->instance) work(*entry->instance);
}

bool ModelRegistry::busy() const {
  const Lock lock(shared_->mutex);
  return shared_->loading;
}

}  // namespace mica

#include "server/model_registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/log.h"
#include "server/adapter_table.h"

namespace mica {
namespace {

constexpr size_t kNamesInErrors = 10;
// While something waits for room: how often it is looked whether its requests are still there.
constexpr std::chrono::milliseconds kLook{50};

void add(EngineStats& sum, const EngineStats& more, bool gauges) {
  sum.requests += more.requests;
  sum.finished += more.finished;
  sum.failed += more.failed;
  sum.cancelled += more.cancelled;
  sum.prompt_tokens += more.prompt_tokens;
  sum.cached_tokens += more.cached_tokens;
  sum.generated_tokens += more.generated_tokens;
  sum.steps += more.steps;
  sum.busy_seconds += more.busy_seconds;
  sum.decode_steps += more.decode_steps;
  sum.decode_seconds += more.decode_seconds;
  sum.decode_bytes += more.decode_bytes;
  sum.prefix_query_tokens += more.prefix_query_tokens;
  sum.prefix_hit_tokens += more.prefix_hit_tokens;
  sum.evictions += more.evictions;
  sum.preemptions += more.preemptions;
  sum.draft_tokens += more.draft_tokens;
  sum.accepted_draft_tokens += more.accepted_draft_tokens;
  sum.verify_steps += more.verify_steps;
  sum.draft_failures += more.draft_failures;
  if (!gauges) return;
  sum.running += more.running;
  sum.waiting += more.waiting;
  sum.blocks_total += more.blocks_total;
  sum.blocks_used += more.blocks_used;
  sum.blocks_cached += more.blocks_cached;
  sum.kv_bytes += more.kv_bytes;
}

uint64_t bytes_of(const ServedModel& model) {
  return model.weight_bytes + model.engine->stats().kv_bytes;
}

ApiError unloading(const std::string& id) {
  return {503, fmt::format("the model '{}' is being unloaded", id), "model", "model_unloading", 2};
}

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

struct ModelRegistry::Entry {
  ModelSpec spec;
  int64_t created = 0;
  ModelStatus status = ModelStatus::kUnloaded;  // never kUnloading: that is kLoaded and `closing`
  std::unique_ptr<ModelInstance> instance;      // while kLoaded
  int leases = 0;
  uint64_t last_use = 0;   // count of uses of all models
  bool closing = false;    // to be unloaded for good: no new leases
  bool yields = false;     // to be unloaded as another needs the room: new requests wait
  bool asked_for = false;  // by `load`: is loaded though no request waits
  Clock::time_point wanted_since;
  std::string failure;
  std::exception_ptr exception;
  std::vector<std::weak_ptr<Waiter>> waiters;

  bool has_waiters() const {
    return std::any_of(waiters.begin(), waiters.end(), [](const auto& w) { return !w.expired(); });
  }
  bool may_go() const { return instance && spec.load && !closing; }
};

struct ModelRegistry::Shared {
  std::mutex mutex;
  std::condition_variable wake;
  // Under the mutex:
  std::vector<std::unique_ptr<Entry>> entries;
  std::deque<Entry*> queue;  // to be loaded, in this order
  uint64_t uses = 0;
  bool refusing = false, stopping = false, loading = false;
  EngineStats gone;  // of engines that were unloaded
  ModelCounts counts;
};

struct ModelRegistry::Call {
  std::shared_ptr<Waiter> waiter;  // alive until it was called
  ModelLease lease;
  ApiError error;
};

namespace {

template <typename Calls>
void run(Calls& calls) {
  for (auto& call : calls) call.waiter->ready(std::move(call.lease), call.error);
  calls.clear();
}

}  // namespace

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
  if (entry.closing) throw RequestError(unloading(entry.spec.id));
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
  run(calls);
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
  if (entry.closing) throw RequestError(unloading(entry.spec.id));
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
    refuse(entry, unloading(entry.spec.id), calls);
    entry.asked_for = false;  // not begun: nobody wants it any more
    const bool begun =
        std::find(shared_->queue.begin(), shared_->queue.end(), &entry) == shared_->queue.end();
    entry.closing = entry.instance || (entry.status == ModelStatus::kLoading && begun);
    shared_->wake.notify_all();
  }
  run(calls);
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
      state.bytes = bytes_of(model);
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
    if (entry->instance) mica::add(sum, entry->instance->model->engine->stats(), /*gauges=*/true);
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

// The thread

void ModelRegistry::loop() {
  Lock lock(shared_->mutex);
  while (!shared_->stopping) {
    if (act(lock)) continue;
    if (shared_->queue.empty())
      shared_->wake.wait(lock);
    else
      shared_->wake.wait_for(lock, kLook);
  }
}

void ModelRegistry::stop() {
  refuse_waiting();
  {
    const Lock lock(shared_->mutex);
    shared_->stopping = true;
    shared_->wake.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  Lock lock(shared_->mutex);
  for (const auto& entry : shared_->entries)
    if (entry->instance) drop(*entry, lock);
}

// One thing that is to be done; false: nothing is.
bool ModelRegistry::act(Lock& lock) {
  if (unload_closing(lock)) return true;
  forget_wishes();
  if (over_budget()) {
    if (Entry* idle = oldest(/*idle=*/true)) {
      ++shared_->counts.evictions;
      drop(*idle, lock);
      return true;
    }
  }
  if (shared_->queue.empty()) {
    std::vector<Call> calls;
    stop_yielding(calls);
    if (calls.empty()) return false;
    lock.unlock();
    run(calls);
    lock.lock();
    return true;
  }
  Entry& wanted = *shared_->queue.front();
  if (!fits(wanted)) return make_room(wanted, lock);
  shared_->queue.pop_front();
  load_now(wanted, lock);
  return true;
}

bool ModelRegistry::unload_closing(Lock& lock) {
  for (const auto& entry : shared_->entries) {
    if (!entry->closing || !entry->instance || entry->leases > 0) continue;
    drop(*entry, lock);
    return true;
  }
  return false;
}

// Models whose requests have all gone need not be loaded.
void ModelRegistry::forget_wishes() {
  std::erase_if(shared_->queue, [](Entry* entry) {
    if (entry->asked_for || entry->has_waiters()) return false;
    entry->waiters.clear();
    entry->status = entry->failure.empty() ? ModelStatus::kUnloaded : ModelStatus::kFailed;
    return true;
  });
}

bool ModelRegistry::over_budget() const {
  uint64_t bytes = 0;
  for (const auto& entry : shared_->entries)
    if (entry->instance) bytes += bytes_of(*entry->instance->model);
  return options_.budget_bytes > 0 && bytes > options_.budget_bytes;
}

bool ModelRegistry::fits(const Entry& wanted) const {
  uint64_t bytes = wanted.spec.expected_bytes;
  int count = 1;
  for (const auto& entry : shared_->entries) {
    if (!entry->instance) continue;
    bytes += bytes_of(*entry->instance->model);
    ++count;
  }
  return count <= options_.max_loaded &&
         (options_.budget_bytes == 0 || bytes <= options_.budget_bytes);
}

ModelRegistry::Entry* ModelRegistry::oldest(bool idle) const {
  Entry* found = nullptr;
  for (const auto& entry : shared_->entries)
    if (entry->may_go() && !(idle && entry->leases > 0) &&
        (!found || entry->last_use < found->last_use))
      found = entry.get();
  return found;
}

bool ModelRegistry::make_room(Entry& wanted, Lock& lock) {
  if (Entry* idle = oldest(/*idle=*/true)) {
    ++shared_->counts.evictions;
    drop(*idle, lock);
    return true;
  }
  const auto& entries = shared_->entries;
  if (std::none_of(entries.begin(), entries.end(),
                   [](const auto& e) { return e->instance && e->spec.load; })) {
    shared_->queue.pop_front();
    std::vector<Call> calls;
    wanted.status = ModelStatus::kFailed;
    wanted.asked_for = false;
    wanted.failure = fmt::format(
        "the model '{}' does not fit: it takes about {:.2f} GB, --model-budget is {:.2f} GB and "
        "--models-max {}",
        wanted.spec.id, static_cast<double>(wanted.spec.expected_bytes) / 1e9,
        static_cast<double>(options_.budget_bytes) / 1e9, options_.max_loaded);
    wanted.exception = std::make_exception_ptr(Error(ErrorKind::kOutOfMemory, wanted.failure));
    refuse(wanted, {503, wanted.failure, "model", "model_failed"}, calls);
    lock.unlock();
    run(calls);
    lock.lock();
    return true;
  }
  const bool some_go = std::any_of(entries.begin(), entries.end(),
                                   [](const auto& e) { return e->yields || e->closing; });
  if (!some_go && Clock::now() - wanted.wanted_since >= options_.patience)
    if (Entry* busy = oldest(/*idle=*/false)) busy->yields = true;
  return false;
}

// Nobody needs the room any more: those that wait for a model that is here may have it.
void ModelRegistry::stop_yielding(std::vector<Call>& calls) {
  for (const auto& entry : shared_->entries) {
    if (!entry->yields) continue;
    entry->yields = false;
    grant(*entry, calls);
  }
}

void ModelRegistry::load_now(Entry& entry, Lock& lock) {
  shared_->loading = true;
  lock.unlock();
  std::shared_ptr<const ServedModel> model;
  std::exception_ptr exception;
  ApiError error{503, "", "model", "model_failed"};
  try {
    model = entry.spec.load();
    const uint64_t bytes = bytes_of(*model), budget = options_.budget_bytes;
    if (budget > 0 && bytes > budget)
      throw Error(ErrorKind::kOutOfMemory, "[models] it takes {:.2f} GB, --model-budget is {:.2f}",
                  static_cast<double>(bytes) / 1e9, static_cast<double>(budget) / 1e9);
  } catch (const std::exception& failure) {
    exception = std::current_exception();
    error.message =
        fmt::format("the model '{}' can't be loaded: {}", entry.spec.id, failure.what());
    model = nullptr;
    log_error("[models] {}", error.message);
  }
  std::vector<Call> calls;
  lock.lock();
  shared_->loading = false;
  if (model) {
    loaded(entry, std::move(model), calls);
  } else {
    entry.status = ModelStatus::kFailed;
    entry.closing = entry.asked_for = false;
    entry.failure = error.message;
    entry.exception = exception;
    ++shared_->counts.failures;
    refuse(entry, error, calls);
  }
  lock.unlock();
  run(calls);
  lock.lock();
}

void ModelRegistry::loaded(Entry& entry, std::shared_ptr<const ServedModel> model,
                           std::vector<Call>& calls) {
  entry.instance = std::make_unique<ModelInstance>(std::move(model), options_.watchdog_timeout);
  entry.status = ModelStatus::kLoaded;
  entry.asked_for = false;
  entry.failure.clear();
  entry.exception = nullptr;
  entry.last_use = ++shared_->uses;
  ++shared_->counts.loads;
  if (entry.closing)
    refuse(entry, unloading(entry.spec.id), calls);
  else
    grant(entry, calls);
}

// The mutex is free meanwhile.
void ModelRegistry::drop(Entry& entry, Lock& lock) {
  std::unique_ptr<ModelInstance> instance = std::move(entry.instance);
  mica::add(shared_->gone, instance->model->engine->stats(), /*gauges=*/false);
  entry.status = ModelStatus::kUnloaded;
  entry.closing = entry.yields = false;
  if (entry.has_waiters()) want(entry);
  lock.unlock();
  if (entry.spec.load) log_info("[models] {}: unloaded", instance->model->id);
  instance = nullptr;
  lock.lock();
}

}  // namespace mica

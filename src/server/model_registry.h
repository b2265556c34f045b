// The models of a server: loaded when a request asks for them, unloaded when others need the room.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/decode_window.h"
#include "server/served_model.h"
#include "server/server_error.h"
#include "server/watchdog.h"

namespace mica {

struct ModelRegistryOptions {
  uint64_t budget_bytes = 0;  // weights and cache of all loaded models; 0 = no limit
  int max_loaded = 4;
  std::chrono::milliseconds watchdog_timeout{std::chrono::minutes(5)};
  // A model waits so long for idle ones; then the one that was asked for longest ago takes no more
  // requests until it has made room.
  std::chrono::milliseconds patience{std::chrono::seconds(5)};
};

struct ModelSpec {
  std::string id;
  std::vector<std::string> aliases;
  std::vector<std::string> adapters;  // names of adapters that come with it
  uint64_t expected_bytes = 0;        // what it takes once loaded, as far as known before
  // Makes the model, on the registry's thread; what it throws is told to those who asked. Dropping
  // the pointer frees it. Null: it is loaded by whoever adds it, and is never unloaded.
  std::function<std::shared_ptr<const ServedModel>()> load;
};

// One loading of a model, and what is seen of its engine.
struct ModelInstance {
  ModelInstance(std::shared_ptr<const ServedModel> loaded, std::chrono::milliseconds patience)
      : model(std::move(loaded)), watchdog(patience) {}
  const std::shared_ptr<const ServedModel> model;  // shared with nobody but whoever added it
  Watchdog watchdog;
  DecodeWindow decode;
};

// The right to use a model: it stays loaded while a copy lives.
using ModelLease = std::shared_ptr<ModelInstance>;

enum class ModelStatus : uint8_t { kUnloaded, kLoading, kLoaded, kUnloading, kFailed };
const char* name(ModelStatus status);  // "unloaded", …

struct ModelState {
  std::string id;
  std::vector<std::string> aliases;
  ModelStatus status = ModelStatus::kUnloaded;
  std::string failure;  // why it failed last, until it is loaded
  uint64_t bytes = 0;   // of a loaded one
  int leases = 0;
  int64_t created = 0;  // unix seconds: when it was added
  // Of a loaded one; copies, as it may go at any time.
  int32_t max_context = 0;
  std::shared_ptr<AdapterTable> adapters;
};

struct ModelCounts {
  uint64_t loads = 0, failures = 0, evictions = 0;
  int loaded = 0;
};

// Thread-safe.
class ModelRegistry {
 public:
  // What becomes of a request that waits: a lease, or null and why. Called once, on the registry's
  // thread or inside `refuse_waiting`; not at all once the waiter is gone.
  struct Waiter {
    std::function<void(ModelLease, const ApiError&)> ready;
  };

  explicit ModelRegistry(const ModelRegistryOptions& options);
  ~ModelRegistry() { stop(); }

  // The first one is the default. Throws Error(kUsage) for an id that is there.
  void add(ModelSpec spec);
  void add_loaded(const ServedModel& model);  // outlives `stop`

  // The id that a request's name means: "" and "default_model" are the default's; an id, an alias,
  // an adapter. Throws RequestError(404) that names what there is.
  std::string resolve(const std::string& name) const;
  // Whether a request's model has to be looked at at all: several models, or adapters.
  bool has_choice() const;

  // The lease if the model is loaded. Otherwise null: it is loaded, and the waiter called then; a
  // model that nobody waits for any more is not loaded. Throws RequestError(503) while it is being
  // unloaded and at the end.
  ModelLease acquire(const std::string& id, const std::weak_ptr<Waiter>& waiter);
  // Null if it is not loaded; does not count as use.
  ModelLease look(const std::string& id);
  ModelLease look_any();  // the default, or another that is loaded

  // Both return at once. `unload` takes no more requests and ends when those that run have ended.
  // Throw RequestError: no such model, or one that can't be unloaded.
  void load(const std::string& id);
  void unload(const std::string& id);

  std::vector<ModelState> states() const;
  ModelState state(const std::string& id) const;              // throws as `resolve`
  std::exception_ptr exception(const std::string& id) const;  // of the last loading; null: none
  std::string default_id() const;
  ModelCounts counts() const;
  EngineStats engine_stats() const;  // of all engines that there were; gauges of those there are
  // Calls `work` for each loaded model; it must be quick and not use the registry.
  void visit(const std::function<void(ModelInstance&)>& work);

  bool busy() const;      // something is being loaded: `stop` waits for it
  void refuse_waiting();  // all that wait, now and from now on: the server is ending
  void stop();            // joins the thread, frees all models, whoever holds leases

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry;
  struct Shared;
  struct Call;  // a waiter to be called once the mutex is free
  using Lock = std::unique_lock<std::mutex>;

  Entry* find(const std::string& id) const;  // by id; under the mutex, as all below
  Entry& known(const std::string& name) const;
  Entry* entry_of(const std::string& name) const;
  ModelLease lease_of(Entry& entry);
  void want(Entry& entry);
  void loop();
  bool act(Lock& lock);
  bool unload_closing(Lock& lock);
  bool make_room(Entry& wanted, Lock& lock);
  void give_up(Entry& wanted, Lock& lock);
  bool over_budget() const;
  // emptied: once all others that may be unloaded are.
  bool fits(const Entry& entry, bool emptied) const;
  Entry* oldest(bool idle) const;
  void forget_wishes();
  void load_now(Entry& entry, Lock& lock);
  void loaded(Entry& entry, std::shared_ptr<const ServedModel> model, std::vector<Call>& calls);
  void drop(Entry& entry, Lock& lock);
  void grant(Entry& entry, std::vector<Call>& calls);
  static void refuse(Entry& entry, const ApiError& error, std::vector<Call>& calls);
  void stop_yielding(std::vector<Call>& calls);

  const ModelRegistryOptions options_;
  const std::shared_ptr<Shared> shared_;  // shared with the leases, which may outlive this
  std::thread thread_;
};

}  // namespace mica
